// SessionRequest: what a session is asked to be, in the terms of RFC 4254 section 6. A value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/terminal.h"

namespace jump {

struct TerminalRequest {
  std::string term;  // TERM: "xterm-256color"
  TerminalSize size;
  Bytes modes;                         // encoded, as section 8 says, its end included
  std::optional<std::uint8_t> escape;  // of EscapeFilter; none: every key goes there
};

struct SessionRequest {
  enum class Kind { kShell, kCommand, kSubsystem };

  Kind kind = Kind::kShell;
  std::string command;                      // or the subsystem's name
  std::optional<TerminalRequest> terminal;  // wanted
  std::vector<std::pair<std::string, std::string>> env;
  std::string agent_socket;  // of the ssh-agent that the server may use; empty: none

  // "shell", "command uname -a", "subsystem sftp": for people. A command is the user's own and may hold
  // secrets: it is not for the log.
  std::string describe() const {
    if (kind == Kind::kShell) return "shell";
    return (kind == Kind::kCommand ? "command " : "subsystem ") + command;
  }
};

// How a session ended. Nothing of it is set when the server said nothing.
struct SessionEnd {
  std::optional<std::uint32_t> exit_status;
  std::string exit_signal;  // "TERM"
  bool core_dumped = false;
  std::string message;         // the server's, with the signal
  std::optional<Error> error;  // the connection broke before all was said
};

}  // namespace jump
