// RawTerminal: a terminal whose keys go to a remote one, while it is this program's to use. Invariant: it is
// as it was before when this has gone, unless it is somebody else's then (this program is in the background);
// signals that would end or stop the program are the business of whoever made it (SessionSignals).
#pragma once

#include <termios.h>

#include <optional>

namespace jump::ctl {

class RawTerminal {
 public:
  // `terminal` outlives this. One at a time. Harmless when it is no terminal.
  explicit RawTerminal(int terminal) : terminal_(terminal) {}
  ~RawTerminal() { leave(); }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

  // In the background the program is stopped until it is in the foreground: before that a terminal's modes
  // are those of the shell's prompt.
  static void await_foreground(int terminal);
  // Makes it raw, in the foreground.
  void enter();
  // As it was before the first enter().
  void leave();
  // Whether what is typed there is this program's.
  bool in_foreground() const;

 private:
  const int terminal_;
  bool raw_ = false;
  std::optional<termios> before_;
};

}  // namespace jump::ctl
