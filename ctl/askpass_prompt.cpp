#include "ctl/askpass_prompt.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace jump::ctl {
namespace {

const char* hint_of(AskpassPrompt::Kind kind) {
  switch (kind) {
    case AskpassPrompt::Kind::kConfirm:
      return "confirm";
    case AskpassPrompt::Kind::kNotice:
      return "none";
    case AskpassPrompt::Kind::kText:
      break;
  }
  return nullptr;
}

[[noreturn]] void become(const std::string& program, const std::string& text, const char* hint, int output) {
  if (output >= 0) ::dup2(output, STDOUT_FILENO);
  if (hint != nullptr) {
    ::setenv("SSH_ASKPASS_PROMPT", hint, 1);
  } else {
    ::unsetenv("SSH_ASKPASS_PROMPT");
  }
  ::execlp(program.c_str(), program.c_str(), text.c_str(), static_cast<char*>(nullptr));
  ::_exit(127);
}

}  // namespace

AskpassPrompt::AskpassPrompt(const std::string& program, const std::string& text, Kind kind) : kind_(kind) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return;
  output_ = ends[0];
  child_ = ::fork();  // this program has one thread
  if (child_ == 0) become(program, text, hint_of(kind), ends[1]);
  ::close(ends[1]);
}

AskpassPrompt::~AskpassPrompt() {
  if (output_ >= 0) ::close(output_);
  if (child_ > 0) {
    ::kill(child_, SIGTERM);
    while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  explicit_bzero(answer_.data(), answer_.size());
}

std::vector<int> AskpassPrompt::descriptors() const {
  return output_ >= 0 ? std::vector<int>{output_} : std::vector<int>{};
}

PersonPrompt::State AskpassPrompt::proceed() {
  char rest[256];
  const bool full = size_ == answer_.size();
  const ssize_t count = full ? ::read(output_, rest, sizeof(rest))
                             : ::read(output_, answer_.data() + size_, answer_.size() - size_);
  if (count < 0 && errno == EINTR) return State::kWaiting;
  if (full) explicit_bzero(rest, sizeof(rest));
  if (count <= 0) return ended();
  if (!full) size_ += static_cast<std::size_t>(count);
  return State::kWaiting;
}

PersonPrompt::State AskpassPrompt::ended() {
  ::close(output_);
  output_ = -1;
  int status = 0;
  while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
  }
  child_ = -1;
  const bool done = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  const char* end =
      std::find_if(answer_.data(), answer_.data() + size_, [](char c) { return c == '\r' || c == '\n'; });
  size_ = static_cast<std::size_t>(end - answer_.data());
  if (kind_ == Kind::kText) return done ? State::kAnswered : State::kDeclined;
  const bool yes = done && (size_ == 0 || (size_ == 3 && ::strncasecmp(answer_.data(), "yes", 3) == 0));
  size_ = static_cast<std::size_t>(::snprintf(answer_.data(), answer_.size(), "%s", yes ? "yes" : "no"));
  return State::kAnswered;
}

Secret AskpassPrompt::take_answer() { return Secret(std::string_view(answer_.data(), size_)); }

}  // namespace jump::ctl
