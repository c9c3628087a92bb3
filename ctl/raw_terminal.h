// RawTerminal: a terminal whose keys go to a remote one, for as long as this object lives. Invariant: it is
// as it was before when this has gone; signals that would end the program are the business of whoever made it
// (SessionSignals).
#pragma once

#include <termios.h>

namespace jump::ctl {

class RawTerminal {
 public:
  // `terminal` outlives this. One at a time. Harmless when it is no terminal.
  explicit RawTerminal(int terminal);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  const int terminal_;
  bool raw_ = false;
  termios before_{};
};

}  // namespace jump::ctl
