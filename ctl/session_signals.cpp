#include "ctl/session_signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace jump::ctl {
namespace {

volatile std::sig_atomic_t write_end = -1;

extern "C" void on_session_signal(int number) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(number);
  [[maybe_unused]] const ssize_t written = ::write(write_end, &byte, 1);
  errno = saved;
}

}  // namespace

SessionSignals::SessionSignals() {
  if (::pipe2(pipe_.data(), O_CLOEXEC | O_NONBLOCK) != 0) return;
  write_end = pipe_[1];
  for (std::size_t i = 0; i < kCaught.size(); ++i) {
    ::sigaction(kCaught[i], nullptr, &before_[i]);
    if (before_[i].sa_handler == SIG_IGN) continue;
    struct sigaction action = {};
    action.sa_handler = on_session_signal;
    ::sigaction(kCaught[i], &action, nullptr);
  }
}

SessionSignals::~SessionSignals() {
  if (pipe_[0] < 0) return;
  for (std::size_t i = 0; i < kCaught.size(); ++i) ::sigaction(kCaught[i], &before_[i], nullptr);
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

}  // namespace jump::ctl
