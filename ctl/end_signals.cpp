#include "ctl/end_signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace jump::ctl {
namespace {

constexpr std::array kEnds = {SIGINT, SIGTERM, SIGHUP};

int write_end = -1;
volatile std::sig_atomic_t signalled = 0;

extern "C" void on_end_signal(int) {
  const int saved = errno;
  signalled = 1;
  [[maybe_unused]] const ssize_t written = ::write(write_end, "", 1);
  errno = saved;
}

}  // namespace

int watch_end_signals() {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return -1;
  write_end = ends[1];
  for (const int number : kEnds) {
    struct sigaction before = {};
    if (::sigaction(number, nullptr, &before) != 0 || before.sa_handler == SIG_IGN) continue;
    struct sigaction action = {};
    action.sa_handler = on_end_signal;  // no SA_RESTART: it ends a write that waits, too
    ::sigaction(number, &action, nullptr);
  }
  return ends[0];
}

bool end_signalled() { return signalled != 0; }

}  // namespace jump::ctl
