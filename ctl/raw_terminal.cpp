#include "ctl/raw_terminal.h"

#include <unistd.h>

#include <cerrno>

namespace jump::ctl {

// Only the kernel knows who is stopped by SIGTTOU, and who is not as it ignores it or nobody could let it go
// on.
void RawTerminal::await_foreground(int terminal) {
  while (::tcdrain(terminal) != 0 && errno == EINTR) {
  }
}

// As ssh does: every key is a byte, nothing is echoed or translated here.
void RawTerminal::enter() {
  if (::isatty(terminal_) != 1) return;
  await_foreground(terminal_);
  if (!before_) {
    termios now{};
    if (::tcgetattr(terminal_, &now) != 0) return;
    before_ = now;
  }
  termios raw = *before_;
  raw.c_iflag |= IGNPAR;
  raw.c_iflag &= ~static_cast<tcflag_t>(ISTRIP | INLCR | IGNCR | ICRNL | IXON | IXANY | IXOFF);
  raw.c_lflag &= ~static_cast<tcflag_t>(ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHONL | IEXTEN);
  raw.c_oflag &= ~static_cast<tcflag_t>(OPOST);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  int failed = 0;
  do {
    failed = ::tcsetattr(terminal_, TCSADRAIN, &raw);
  } while (failed != 0 && errno == EINTR);
  raw_ |= failed == 0;
}

void RawTerminal::leave() {
  if (raw_ && in_foreground()) {
    // A terminal that nobody reads never drains; a signal ends the wait for that.
    int when = TCSADRAIN;
    while (::tcsetattr(terminal_, when, &*before_) != 0 && errno == EINTR) when = TCSANOW;
  }
  raw_ = false;
}

// A terminal that does not control this program's session knows no background.
bool RawTerminal::in_foreground() const {
  const pid_t foreground = ::tcgetpgrp(terminal_);
  return foreground < 0 || foreground == ::getpgrp();
}

}  // namespace jump::ctl
