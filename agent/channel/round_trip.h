// RoundTrip: what the round trips measured so far say about the path. Time is a parameter.
// base() is the least of the last 10 to 20 seconds: the path without queues. smoothed() follows RFC 6298
// (1/8), but for the first eight, which count alike: a late first answer is soon forgotten. A sample far
// beyond the usual is an answer that a path was cut for, or a process that was stopped: it counts only when
// the next one is as late (as Karn would have it, RFC 6298, section 3).
#pragma once

#include <algorithm>
#include <optional>

#include "base/clock.h"

namespace jump {

class RoundTrip {
 public:
  // False: the sample is doubtful and was left out; the next one, whatever it is, will count.
  bool add(Duration sample, TimePoint now) {
    const bool late = samples_ > 0 && sample > kLate + kLateTimes * smoothed_;
    doubtful_ = late && !doubtful_;
    if (doubtful_) return false;
    if (now - epoch_ >= kEpoch) {
      previous_ = current_;
      current_ = sample;
      epoch_ = now;
    } else {
      current_ = std::min(current_, sample);
    }
    last_ = sample;
    samples_++;
    smoothed_ += (sample - smoothed_) / static_cast<Duration::rep>(std::min(samples_, kWeight));
    return true;
  }

  bool known() const { return samples_ > 0; }
  unsigned long samples() const { return samples_; }
  Duration last() const { return last_; }
  Duration smoothed() const { return smoothed_; }
  Duration base() const { return std::min(current_, previous_); }

 private:
  static constexpr Duration kEpoch = seconds(10);

  static constexpr unsigned long kWeight = 8;  // of all before, once there are so many
  // What a queue that fills may add from one sample to the next is less.
  static constexpr Duration kLate = seconds(1);
  static constexpr int kLateTimes = 4;

  unsigned long samples_ = 0;
  bool doubtful_ = false;  // the last sample was
  TimePoint epoch_ = kLongAgo;
  Duration current_ = Duration::max(), previous_ = Duration::max();
  Duration last_{}, smoothed_{};
};

}  // namespace jump
