// SessionTerminal: this program's own terminal as a session's: its size and modes for the request, what is
// typed there, and job control. Stopped, or in the background, the program leaves it to whoever has it; in
// the foreground again it is raw again, and its size is told.
//
//   describe() ─► session.open     begin() ─► raw, keys ─► the session     on_signal(), look() ─► changes
//
// Invariant: the terminal's modes are as they were before when this has gone (RawTerminal).
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "base/result.h"
#include "base/terminal.h"
#include "ctl/raw_terminal.h"
#include "ctl/terminal_input.h"
#include "proto/messages.h"

namespace jump::ctl {

class SessionTerminal {
 public:
  // stdin is a terminal. Errors: kInternal (no descriptor is free).
  static Result<SessionTerminal> make();

  // To be passed as stdin.
  int session_end() const { return input_.session_end().get(); }
  // Size and modes as they are, in the foreground.
  void describe(proto::SessionTty& tty);
  // The session runs: from now on keys are its. `raw`: it has a terminal; its size is `tell`'s. Errors:
  // kInternal; the terminal is as it was then.
  Status begin(bool raw, std::function<void(const TerminalSize&)> tell);
  // SIGWINCH, SIGTSTP and SIGCONT. Comes back from SIGTSTP when the program goes on, or where it was not
  // stopped.
  void on_signal(int number);
  // In the background, with nobody to tell of its end (a shell's `fg` does not always): look() is to be
  // called now and then.
  bool away() const { return away_; }
  void look();

 private:
  explicit SessionTerminal(TerminalInput input) : input_(std::move(input)) {}
  void tell_size();

  TerminalInput input_;
  std::unique_ptr<RawTerminal> raw_;  // null: the session has no terminal
  std::function<void(const TerminalSize&)> tell_;
  TerminalSize told_;
  bool away_ = false;
};

}  // namespace jump::ctl
