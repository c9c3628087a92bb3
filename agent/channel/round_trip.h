// RoundTrip: what the round trips measured so far say about the path. Time is a parameter.
// base() is the least of the last 10 to 20 seconds: the path without queues. smoothed() follows RFC 6298
// (1/8).
#pragma once

#include <algorithm>
#include <optional>

#include "base/clock.h"

namespace jump {

class RoundTrip {
 public:
  void add(Duration sample, TimePoint now) {
    if (now - epoch_ >= kEpoch) {
      previous_ = current_;
      current_ = sample;
      epoch_ = now;
    } else {
      current_ = std::min(current_, sample);
    }
    last_ = sample;
    smoothed_ = samples_ == 0 ? sample : smoothed_ + (sample - smoothed_) / 8;
    samples_++;
  }

  bool known() const { return samples_ > 0; }
  unsigned long samples() const { return samples_; }
  Duration last() const { return last_; }
  Duration smoothed() const { return smoothed_; }
  Duration base() const { return std::min(current_, previous_); }

 private:
  static constexpr Duration kEpoch = seconds(10);

  unsigned long samples_ = 0;
  TimePoint epoch_ = kLongAgo;
  Duration current_ = Duration::max(), previous_ = Duration::max();
  Duration last_{}, smoothed_{};
};

}  // namespace jump
