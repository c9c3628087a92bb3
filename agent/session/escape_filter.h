// EscapeFilter: what ssh's users type at the beginning of a line to talk to ssh itself (ssh(1), ESCAPE
// CHARACTERS): "~." ends the session, "~?" lists what there is, "~~" is one "~". Pure: keys in, keys for the
// remote side and a command out.
//
// Invariant: bytes that are no escape come out as they went in, in order, however small the pieces.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace jump {

class EscapeFilter {
 public:
  enum class Command { kNone, kDisconnect, kHelp };

  explicit EscapeFilter(std::uint8_t escape) : escape_(escape) {}

  struct Step {
    std::size_t consumed = 0;          // of the input; the rest is offered again
    Bytes keys;                        // for the remote side
    Command command = Command::kNone;  // after these keys
  };
  // All of `typed`, or up to a command. kDisconnect: nothing is to follow.
  Step feed(ByteView typed);

  // For kHelp: lines for the terminal.
  static std::string_view help();

 private:
  enum class Place { kLineStart, kEscape, kLine };

  const std::uint8_t escape_;
  Place place_ = Place::kLineStart;
};

}  // namespace jump
