// What a terminal's descriptor tells: its size, and its modes in the encoding of RFC 4254 section 8. None of
// these calls waits.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/bytes.h"
#include "session/session_request.h"

namespace jump {

bool is_terminal(int fd);
// Nothing: it is no terminal, or its size is not known.
std::optional<TerminalSize> terminal_size(int fd);
// As they are now: read before the client makes it raw. Empty: it is no terminal.
Bytes terminal_modes(int fd);
// The same for modes that a client has named: opcode and value.
Bytes encode_terminal_modes(const std::map<std::uint8_t, std::uint32_t>& modes);

}  // namespace jump
