#include "session/escape_filter.h"

namespace jump {
namespace {

constexpr std::uint8_t kControlZ = 'Z' - 64;

EscapeFilter::Command command_of(std::uint8_t key) {
  switch (key) {
    case '.':
      return EscapeFilter::Command::kDisconnect;
    case 'B':
      return EscapeFilter::Command::kBreak;
    case '#':
      return EscapeFilter::Command::kConnections;
    case '?':
      return EscapeFilter::Command::kHelp;
    case 'C':
    case 'R':
    case 'V':
    case 'v':
    case '&':
    case kControlZ:
      return EscapeFilter::Command::kUnavailable;
    default:
      return EscapeFilter::Command::kNone;
  }
}

}  // namespace

EscapeFilter::Step EscapeFilter::feed(ByteView typed) {
  Step step;
  for (const std::uint8_t key : typed) {
    ++step.consumed;
    if (place_ == Place::kEscape) {
      // The escape character itself may be one of these.
      step.command = key == escape_ ? Command::kNone : command_of(key);
      if (step.command != Command::kNone) {
        place_ = Place::kLineStart;
        step.key = key;
        return step;
      }
      if (key != escape_) step.keys.push_back(escape_);
    } else if (place_ == Place::kLineStart && key == escape_) {
      place_ = Place::kEscape;
      continue;
    }
    step.keys.push_back(key);
    place_ = key == '\r' || key == '\n' ? Place::kLineStart : Place::kLine;
  }
  return step;
}

std::string EscapeFilter::text(Command command, std::uint8_t key) const {
  const std::string escape(1, static_cast<char>(escape_));
  const std::string typed = escape + (key == kControlZ ? "^Z" : std::string(1, static_cast<char>(key)));
  if (command == Command::kUnavailable) return typed + " escape not available to multiplexed sessions\r\n";
  std::string text = typed + "\r\n";
  if (command != Command::kHelp) return text;
  text += "Supported escape sequences:\r\n";
  for (const char* line : {".   - terminate session", "B   - send a BREAK to the remote system",
                           "#   - list forwarded connections", "?   - this message"})
    text += " " + escape + line + "\r\n";
  text += " " + escape + escape + "   - send the escape character by typing it twice\r\n";
  return text + "(Note that escapes are only recognized immediately after newline.)\r\n";
}

}  // namespace jump
