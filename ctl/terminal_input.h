// TerminalInput: what is typed at this program's terminal, for a session. It is read here and not by the
// agent, so that job control holds: a program that is stopped, or in the background, reads nothing, and the
// shell gets what was typed at it.
//
//   stdin ─► a thread, one piece at a time ─► socket ─► the agent
//
// The thread lasts as long as the program. Invariant: it is stopped (SIGTTIN) with the program, as it only
// reads.
#pragma once

#include "base/fd.h"
#include "base/result.h"

namespace jump::ctl {

class TerminalInput {
 public:
  // Errors: kInternal (no descriptor is free).
  static Result<TerminalInput> make();
  // To be passed as stdin, and then to be let go of.
  const Fd& session_end() const { return session_end_; }
  // From now on what is typed is the session's. Once. Errors: kInternal (no thread can be had).
  Status start();

 private:
  TerminalInput() = default;

  Fd own_end_, session_end_;
};

}  // namespace jump::ctl
