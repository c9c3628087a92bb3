// Backoff: how long to wait before the next attempt at something that failed. Doubles from kFirst to
// kLongest, each time somewhere between half and all of it, so that a thousand agents that lost one bastion
// do not come back in the same moment. Never gives up. Pure.
#pragma once

#include <algorithm>
#include <random>

#include "base/clock.h"

namespace jump {

class Backoff {
 public:
  static constexpr Duration kFirst = milliseconds(250);
  static constexpr Duration kLongest = seconds(30);

  // `seed` differs for everybody who must not come at the same time.
  explicit Backoff(std::uint_fast32_t seed) : random_(seed) {}

  Duration next() {
    const Duration whole = next_;
    next_ = std::min(2 * next_, kLongest);
    std::uniform_real_distribution<double> part(0.5, 1.0);
    return std::chrono::duration_cast<Duration>(whole * part(random_));
  }
  // Nothing was asked since reset().
  bool is_fresh() const { return next_ == kFirst; }
  // It has worked, or there is a reason to think that it may work now.
  void reset() { next_ = kFirst; }

 private:
  std::minstd_rand random_;
  Duration next_ = kFirst;
};

}  // namespace jump
