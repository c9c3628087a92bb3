// What a terminal's descriptor tells: its size, and its modes in the encoding of RFC 4254 section 8. None of
// these calls waits.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/bytes.h"

namespace jump {

struct TerminalSize {
  std::uint32_t columns = 0, rows = 0;  // characters
  std::uint32_t width = 0, height = 0;  // pixels; 0: not known

  bool operator==(const TerminalSize&) const = default;
};

bool is_terminal(int fd);
// Nothing: it is no terminal, or its size is not known.
std::optional<TerminalSize> terminal_size(int fd);
// As they are now: read before the client makes it raw. Empty: it is no terminal.
Bytes terminal_modes(int fd);
// The same before it is encoded: opcode and value.
std::map<std::uint8_t, std::uint32_t> read_terminal_modes(int fd);
// Opcodes that are no mode (0, and from 160 on) are left out.
Bytes encode_terminal_modes(const std::map<std::uint8_t, std::uint32_t>& modes);

}  // namespace jump
