#include "proto/line_framer.h"

namespace jump::proto {

void LineFramer::feed(ByteView data) {
  if (ended_) return;
  // Taken lines are dropped only when they are the larger part, so moving the rest costs O(1) per byte.
  if (begin_ > 0 && begin_ >= buffer_.size() / 2) {
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
  }
  buffer_.append(as_text(data));
}

LineFramer::Next LineFramer::next(std::string_view* line) {
  if (ended_) return Next::kEnded;
  while (true) {
    const std::size_t newline = buffer_.find('\n', scanned_);
    if (newline == std::string::npos) {
      scanned_ = buffer_.size();
      return buffered() >= max_line_ ? too_long() : Next::kMore;
    }
    if (newline - begin_ >= max_line_) return too_long();
    std::string_view found = std::string_view(buffer_).substr(begin_, newline - begin_);
    begin_ = scanned_ = newline + 1;
    if (found.ends_with('\r')) found.remove_suffix(1);
    if (found.empty()) continue;
    *line = found;
    return Next::kLine;
  }
}

LineFramer::Next LineFramer::too_long() {
  ended_ = true;
  begin_ = scanned_ = 0;
  buffer_ = {};
  return Next::kTooLong;
}

}  // namespace jump::proto
