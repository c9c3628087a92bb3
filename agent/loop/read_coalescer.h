// ReadCoalescer: fewer, larger reads of one TCP socket while bulk comes in fast. A reader that keeps up is
// woken for each packet of the sender, and on a fast link the wake-ups then cost as much as the bytes. So
// while bulk flows the kernel is told (SO_RCVLOWAT) to speak up for no less than kLowWater; when the flow
// stops, a timer undoes it, so that what is left of a transfer waits for kPatience, in whole milliseconds.
//
// Invariant: the mark is above one byte only while the timer runs.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "loop/timer.h"

namespace jump {

class ReadCoalescer {
 public:
  // This much must have come, no two reads further apart than kGap, before anything changes: a wait of
  // kPatience at the end is then little of the whole.
  static constexpr std::size_t kBulk = 16 * 1024 * 1024;
  static constexpr Duration kGap = std::chrono::microseconds(200);
  static constexpr int kLowWater = 208 * 1024;
  static constexpr Duration kPatience = milliseconds(1);

  ReadCoalescer(Loop& loop, int fd) : loop_(loop), fd_(fd) {}

  void on_read(std::size_t size);

 private:
  void begin();
  void check();
  void set_low_water(int bytes) const;

  Loop& loop_;
  const int fd_;  // the socket's owner closes it, after this object has gone
  TimePoint last_;
  std::size_t flow_ = 0;  // bytes without a gap
  bool on_ = false;
  std::unique_ptr<UvTimer> timer_;
};

}  // namespace jump
