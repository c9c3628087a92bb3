// Drain: the wait at the end of an agent, while connections that are still open finish what they are at. It
// looks at sums, a few times a second, and says once when there is nothing left to wait for.
//
// A connection that is open and moves nothing cannot be told from one that will never move anything, so what
// is waited for is movement: kMayEnd is over when nothing has moved for kQuiet, or, with bytes stuck on their
// way, for kStalled. kStays waits for every connection to end. Both are over at their limit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "stream/io.h"

namespace jump {

class Drain {
 public:
  // Longer than the pauses of a transfer over a slow path; short for a person who waits for the end.
  static constexpr Duration kQuiet = milliseconds(500);
  static constexpr Duration kStalled = seconds(2);

  enum class Idle { kMayEnd, kStays };

  struct Load {
    std::uint64_t connections = 0;
    std::uint64_t moved = 0;    // bytes so far; only that it changes counts
    std::uint64_t pending = 0;  // what is on its way: bytes in queues, channels that are being opened
  };

  Drain(Io& io, std::function<Load()> load, Idle idle, Duration limit, std::function<void()> done);

  Duration left() const;

 private:
  Duration gap() const { return idle_ == Idle::kMayEnd ? milliseconds(50) : milliseconds(500); }
  void look();
  bool over(const Load& load);

  Io& io_;
  const std::function<Load()> load_;
  const Idle idle_;
  const TimePoint deadline_;
  std::function<void()> done_;
  std::uint64_t moved_ = 0;
  TimePoint moved_at_;
  std::unique_ptr<Timer> timer_;
};

}  // namespace jump
