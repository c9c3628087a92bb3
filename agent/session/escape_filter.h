// EscapeFilter: what ssh's users type at the beginning of a line to talk to ssh itself (ssh(1), ESCAPE
// CHARACTERS), as it is for sessions of a master: "~." ends the session, "~B" sends a BREAK, "~#" lists what
// is open, "~?" lists these, "~~" is one "~". Pure: keys in, keys for the remote side and a command out.
//
// Invariant: bytes that are no escape come out as they went in, in order, however small the pieces.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace jump {

class EscapeFilter {
 public:
  // kUnavailable: ssh has it, sessions of a shared connection have not (~C ~R ~V ~v ~& ~^Z).
  enum class Command { kNone, kDisconnect, kBreak, kConnections, kHelp, kUnavailable };

  explicit EscapeFilter(std::uint8_t escape) : escape_(escape) {}

  struct Step {
    std::size_t consumed = 0;          // of the input; the rest is offered again
    Bytes keys;                        // for the remote side
    Command command = Command::kNone;  // after these keys
    std::uint8_t key = 0;              // of the command
  };
  // All of `typed`, or up to a command. kDisconnect: nothing is to follow.
  Step feed(ByteView typed);

  // What the terminal shows of a command, with CRLF, in ssh's words; the list of ~# comes behind it.
  std::string text(Command command, std::uint8_t key) const;

 private:
  enum class Place { kLineStart, kEscape, kLine };

  const std::uint8_t escape_;
  Place place_ = Place::kLineStart;
};

}  // namespace jump
