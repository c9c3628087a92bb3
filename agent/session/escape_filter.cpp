#include "session/escape_filter.h"

namespace jump {

EscapeFilter::Step EscapeFilter::feed(ByteView typed) {
  Step step;
  for (const std::uint8_t key : typed) {
    ++step.consumed;
    if (place_ == Place::kEscape) {
      place_ = Place::kLine;
      if (key == '.') step.command = Command::kDisconnect;
      if (key == '?') {
        step.command = Command::kHelp;
        place_ = Place::kLineStart;
      }
      if (step.command != Command::kNone) return step;
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

std::string_view EscapeFilter::help() {
  return "\r\nEscapes, at the beginning of a line:\r\n"
         " ~.   - end this session (the connection stays for others)\r\n"
         " ~?   - this message\r\n"
         " ~~   - send the escape character by typing it twice\r\n";
}

}  // namespace jump
