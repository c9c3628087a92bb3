#include "proto/line_framer.h"

#include <utility>

namespace jump::proto {

void LineFramer::drop_line() {
  passed_ += taken_;
  buffer_.consume(std::exchange(taken_, 0));
}

void LineFramer::feed(ByteView data) {
  drop_line();
  if (!ended_) buffer_.append(as_text(data));
}

LineFramer::Next LineFramer::next(std::string_view* line) {
  drop_line();
  if (ended_) return Next::kEnded;
  while (true) {
    const std::string_view text = buffer_.view();
    const std::size_t newline = text.find('\n', scanned_);
    if (newline == std::string_view::npos) {
      scanned_ = text.size();
      return text.size() >= max_line_ ? too_long() : Next::kMore;
    }
    if (newline >= max_line_) return too_long();
    scanned_ = 0;
    std::string_view found = text.substr(0, newline);
    if (found.ends_with('\r')) found.remove_suffix(1);
    taken_ = newline + 1;
    if (!found.empty()) {
      *line = found;
      return Next::kLine;
    }
    drop_line();
  }
}

LineFramer::Next LineFramer::too_long() {
  ended_ = true;
  scanned_ = 0;
  buffer_.clear();
  return Next::kTooLong;
}

}  // namespace jump::proto
