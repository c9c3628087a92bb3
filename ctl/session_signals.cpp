#include "ctl/session_signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace jump::ctl {
namespace {

constexpr std::array kEnding = {SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1};
constexpr std::array kOfJobs = {SIGTSTP, SIGCONT};

volatile std::sig_atomic_t write_end = -1;

extern "C" void on_session_signal(int number) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(number);
  [[maybe_unused]] const ssize_t written = ::write(write_end, &byte, 1);
  errno = saved;
}

}  // namespace

SessionSignals::SessionSignals(bool job_control) {
  if (::pipe2(pipe_.data(), O_CLOEXEC | O_NONBLOCK) != 0) return;
  write_end = pipe_[1];
  const auto wait_for = [this](int number) {
    struct sigaction action = {};
    ::sigaction(number, nullptr, &action);
    if (action.sa_handler == SIG_IGN) return;
    before_.push_back({number, action});
    action = {};
    action.sa_handler = on_session_signal;
    ::sigaction(number, &action, nullptr);
  };
  for (const int number : kEnding) wait_for(number);
  if (!job_control) return;
  for (const int number : kOfJobs) wait_for(number);
}

SessionSignals::~SessionSignals() {
  if (pipe_[0] < 0) return;
  for (const Before& each : before_) ::sigaction(each.number, &each.action, nullptr);
  write_end = -1;
  ::close(pipe_[0]);
  ::close(pipe_[1]);
}

std::optional<int> SessionSignals::take() {
  unsigned char byte = 0;
  if (::read(pipe_[0], &byte, 1) != 1) return std::nullopt;
  return byte;
}

std::string_view signal_name(int number) {
  switch (number) {
    case SIGINT:
      return "INT";
    case SIGTERM:
      return "TERM";
    case SIGHUP:
      return "HUP";
    case SIGQUIT:
      return "QUIT";
    case SIGUSR1:
      return "USR1";
    default:
      return {};
  }
}

void die_by(int number) {
  std::signal(number, SIG_DFL);
  ::raise(number);
  std::_Exit(128 + number);
}

void stop_by(int number) {
  struct sigaction stop = {}, before = {};
  stop.sa_handler = SIG_DFL;
  ::sigaction(number, &stop, &before);
  ::raise(number);
  ::sigaction(number, &before, nullptr);
}

sigset_t session_signals() {
  sigset_t all;
  sigemptyset(&all);
  for (const int number : kEnding) sigaddset(&all, number);
  for (const int number : kOfJobs) sigaddset(&all, number);
  return all;
}

}  // namespace jump::ctl
