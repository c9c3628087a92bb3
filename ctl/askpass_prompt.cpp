#include "ctl/askpass_prompt.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
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

// --- groups to end when a signal ends us ---

constexpr std::array kEnds = {SIGINT, SIGTERM, SIGHUP};
// A prompt, and a notice for each key that waits for a touch; more are not seen to.
std::array<volatile sig_atomic_t, 16> groups = {};
std::array<struct sigaction, kEnds.size()> handlers_before = {};

extern "C" void end_groups(int number) {
  const int saved = errno;
  for (const auto& group : groups) {
    if (group > 0) ::kill(-static_cast<pid_t>(group), SIGTERM);
  }
  // As if this handler were not there.
  for (std::size_t i = 0; i < kEnds.size(); ++i) {
    if (kEnds[i] == number) ::sigaction(number, &handlers_before[i], nullptr);
  }
  ::raise(number);
  errno = saved;
}

bool any_group() {
  return std::any_of(groups.begin(), groups.end(), [](const auto& group) { return group > 0; });
}

void watch_group(pid_t group) {
  if (!any_group()) {
    struct sigaction ending = {};
    ending.sa_handler = end_groups;
    for (std::size_t i = 0; i < kEnds.size(); ++i) {
      ::sigaction(kEnds[i], nullptr, &handlers_before[i]);
      if (handlers_before[i].sa_handler != SIG_IGN) ::sigaction(kEnds[i], &ending, nullptr);
    }
  }
  const auto place = std::find_if(groups.begin(), groups.end(), [](const auto& each) { return each == 0; });
  if (place != groups.end()) *place = group;
}

void forget_group(pid_t group) {
  for (auto& each : groups) {
    if (each == group) each = 0;
  }
  if (any_group()) return;
  for (std::size_t i = 0; i < kEnds.size(); ++i) {
    struct sigaction now = {};
    ::sigaction(kEnds[i], nullptr, &now);
    if (now.sa_handler == end_groups) ::sigaction(kEnds[i], &handlers_before[i], nullptr);
  }
}

// What would end us waits from a fork until watch_group(): else it would leave the group behind.
class EndsHeld {
 public:
  EndsHeld() {
    sigset_t ends;
    sigemptyset(&ends);
    for (const int number : kEnds) sigaddset(&ends, number);
    ::sigprocmask(SIG_BLOCK, &ends, &before_);
  }
  ~EndsHeld() { let_go(); }
  void let_go() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

[[noreturn]] void become(const std::string& program, const std::string& text, const char* hint, int output,
                         int exec_error, EndsHeld& held) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // when we are killed, and can do nothing any more
  for (const int number : kEnds) {
    struct sigaction inherited = {};
    if (::sigaction(number, nullptr, &inherited) == 0 && inherited.sa_handler == end_groups)
      ::signal(number, SIG_DFL);
  }
  held.let_go();
  ::dup2(output, STDOUT_FILENO);
  ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
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
  {
    EndsHeld held;
    child_ = ::fork();  // this program has one thread
    if (child_ == 0) become(program, text, hint_of(kind), output[1], error[1], held);
    if (child_ < 0) note_failure(errno);
    if (child_ > 0) {
      ::setpgid(child_, child_);  // whoever of us comes first
      watch_group(child_);
    }
  }
  if (child_ > 0 && kind_ != Kind::kNotice) lend_terminal();
  ::close(output[1]);
  if (error[1] >= 0) ::close(error[1]);
}

AskpassPrompt::~AskpassPrompt() {
  if (output_ >= 0) ::close(output_);
  if (exec_error_ >= 0) ::close(exec_error_);
  if (child_ > 0) {
    ::kill(-child_, SIGTERM);
    reap(kAfterTerm);
  }
  explicit_bzero(answer_.data(), answer_.size());
}

// A program in the background may not read from it.
void AskpassPrompt::lend_terminal() {
  terminal_ = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  if (terminal_ < 0) return;
  if (::tcgetpgrp(terminal_) == ::getpgrp() && ::tcsetpgrp(terminal_, child_) == 0) return;
  ::close(terminal_);
  terminal_ = -1;
}

void AskpassPrompt::take_terminal_back() {
  if (terminal_ < 0) return;
  const auto before = ::signal(SIGTTOU, SIG_IGN);  // we are in the background now
  ::tcsetpgrp(terminal_, ::getpgrp());
  ::signal(SIGTTOU, before);
  ::close(terminal_);
  terminal_ = -1;
}

void AskpassPrompt::note_failure(int error) {
  why_ = "the SSH_ASKPASS program '" + program_ + "' cannot be run: " + std::strerror(error);
}

bool AskpassPrompt::reap(milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  const pid_t group = child_;
  int status = 0;
  pid_t ended = ::waitpid(child_, &status, WNOHANG);
  while (ended == 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kLookGap);
    ended = ::waitpid(child_, &status, WNOHANG);
  }
  if (ended == 0) {
    ::kill(-child_, SIGKILL);
    do {
      ended = ::waitpid(child_, &status, 0);
    } while (ended < 0 && errno == EINTR);
  }
  forget_group(group);
  take_terminal_back();
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
