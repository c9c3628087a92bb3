#include "ctl/raw_terminal.h"

#include <unistd.h>

namespace jump::ctl {

// As ssh does: every key is a byte, nothing is echoed or translated here.
RawTerminal::RawTerminal(int terminal) : terminal_(terminal) {
  if (::isatty(terminal) != 1 || ::tcgetattr(terminal, &before_) != 0) return;
  termios raw = before_;
  raw.c_iflag |= IGNPAR;
  raw.c_iflag &= ~static_cast<tcflag_t>(ISTRIP | INLCR | IGNCR | ICRNL | IXON | IXANY | IXOFF);
  raw.c_lflag &= ~static_cast<tcflag_t>(ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHONL | IEXTEN);
  raw.c_oflag &= ~static_cast<tcflag_t>(OPOST);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  raw_ = ::tcsetattr(terminal, TCSADRAIN, &raw) == 0;
}

RawTerminal::~RawTerminal() {
  if (raw_) ::tcsetattr(terminal_, TCSADRAIN, &before_);
}

}  // namespace jump::ctl
