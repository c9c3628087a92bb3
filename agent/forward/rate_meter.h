// RateMeter: bytes per second, smoothed over a few seconds, of a count that only grows. Pure; sampled about
// once a second while something moves.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/clock.h"

namespace jump {

class RateMeter {
 public:
  // A change shows to two thirds after this.
  static constexpr double kSmoothing = 2.0;  // seconds
  // Less than that is nothing a person would call moving: bytes per second.
  static constexpr double kNothing = 1.0;

  void sample(std::uint64_t total, TimePoint now) {
    if (time_ != kLongAgo) {
      const double elapsed = std::max(to_seconds(now - time_), 1e-3);
      const double rate = static_cast<double>(total - total_) / elapsed;
      rate_ += (rate - rate_) * (1 - std::exp(-elapsed / kSmoothing));
      if (rate_ < kNothing) rate_ = 0;
    }
    total_ = total;
    time_ = now;
  }
  double per_second() const { return rate_; }

 private:
  std::uint64_t total_ = 0;
  TimePoint time_ = kLongAgo;
  double rate_ = 0;
};

}  // namespace jump
