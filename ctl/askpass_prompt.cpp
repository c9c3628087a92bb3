#include "ctl/askpass_prompt.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace jump::ctl {
namespace {

using std::chrono::milliseconds;

// A program that has answered is about to end.
constexpr milliseconds kAfterAnswer{2000};
// After SIGTERM: a dialog closes its window.
constexpr milliseconds kAfterTerm{500};
constexpr milliseconds kLookGap{5};

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

[[noreturn]] void become(const std::string& program, const std::string& text, const char* hint, int output,
                         int exec_error) {
  if (output >= 0) ::dup2(output, STDOUT_FILENO);
  if (hint != nullptr) {
    ::setenv("SSH_ASKPASS_PROMPT", hint, 1);
  } else {
    ::unsetenv("SSH_ASKPASS_PROMPT");
  }
  ::execlp(program.c_str(), program.c_str(), text.c_str(), static_cast<char*>(nullptr));
  const int error = errno;
  [[maybe_unused]] const ssize_t written = ::write(exec_error, &error, sizeof error);
  ::_exit(127);
}

}  // namespace

AskpassPrompt::AskpassPrompt(const std::string& program, const std::string& text, Kind kind)
    : program_(program), kind_(kind) {
  // Ignored, as a parent may have left it, it would take the program's exit status away.
  ::signal(SIGCHLD, SIG_DFL);
  int output[2] = {-1, -1}, error[2] = {-1, -1};
  if (::pipe2(output, O_CLOEXEC) != 0) {
    note_failure(errno);
    return;
  }
  if (::pipe2(error, O_CLOEXEC | O_NONBLOCK) != 0) error[0] = error[1] = -1;
  output_ = output[0];
  exec_error_ = error[0];
  child_ = ::fork();  // this program has one thread
  if (child_ == 0) become(program, text, hint_of(kind), output[1], error[1]);
  if (child_ < 0) note_failure(errno);
  ::close(output[1]);
  if (error[1] >= 0) ::close(error[1]);
}

AskpassPrompt::~AskpassPrompt() {
  if (output_ >= 0) ::close(output_);
  if (exec_error_ >= 0) ::close(exec_error_);
  if (child_ > 0) {
    ::kill(child_, SIGTERM);
    reap(kAfterTerm);
  }
  explicit_bzero(answer_.data(), answer_.size());
}

void AskpassPrompt::note_failure(int error) {
  why_ = "the SSH_ASKPASS program '" + program_ + "' cannot be run: " + std::strerror(error);
}

bool AskpassPrompt::reap(milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  int status = 0;
  pid_t ended = ::waitpid(child_, &status, WNOHANG);
  while (ended == 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kLookGap);
    ended = ::waitpid(child_, &status, WNOHANG);
  }
  if (ended == 0) {
    ::kill(child_, SIGKILL);
    do {
      ended = ::waitpid(child_, &status, 0);
    } while (ended < 0 && errno == EINTR);
  }
  const bool known = ended == child_;
  child_ = -1;
  return known && WIFEXITED(status) && WEXITSTATUS(status) == 0;
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
  if (output_ >= 0) ::close(output_);
  output_ = -1;
  if (child_ <= 0) return State::kUnable;
  const bool done = reap(kAfterAnswer);
  if (int error = 0; exec_error_ >= 0 && ::read(exec_error_, &error, sizeof error) == sizeof error) {
    note_failure(error);
    return State::kUnable;
  }
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
