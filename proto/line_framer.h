// Bytes in, complete lines out. Sans-IO. A line ends in LF or CRLF, which is not part of it; empty lines are
// skipped. A line longer than the cap is reported once, and then nothing ever comes out again: the connection
// is to be ended. Invariants: every byte is looked at once, however small the pieces; memory is bounded by
// the cap plus what is fed between two rounds of next(); a line may hold a secret, so it is wiped as soon as
// the next one is asked for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "proto/messages.h"
#include "proto/wiped_buffer.h"

namespace jump::proto {

class LineFramer {
 public:
  enum class Next {
    kLine,     // *line is the next one
    kMore,     // feed more
    kTooLong,  // the cap was passed: said once. Answer line_too_long() and end the connection
    kEnded,    // after kTooLong, for ever
  };

  // `max_line` counts the line's end, too.
  explicit LineFramer(std::size_t max_line = kMaxLine) : max_line_(max_line) {}

  void feed(ByteView data);
  // *line is good until the next call of any method.
  Next next(std::string_view* line);
  // Wipes the line that next() gave, for who does not ask for another one at once.
  void drop_line();

  bool ended() const { return ended_; }
  // Bytes fed so far that belong to the line that next() gave, or to those before it.
  std::uint64_t passed() const { return passed_ + taken_; }
  // Bytes of lines not yet taken, complete or not.
  std::size_t buffered() const { return buffer_.size() - taken_; }

 private:
  Next too_long();

  std::size_t max_line_;
  WipedBuffer buffer_;
  std::size_t taken_ = 0;    // at the front: the line that next() gave, still readable
  std::size_t scanned_ = 0;  // no LF in the first scanned_ bytes behind it
  std::uint64_t passed_ = 0;  // bytes that have left the buffer
  bool ended_ = false;
};

}  // namespace jump::proto
