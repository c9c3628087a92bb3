// BulkGovernor: how much bulk may be under way while somebody types. On a path whose bottleneck has a long
// queue, a window of megabytes is a queue of megabytes, and a keystroke waits behind it. So while an
// interactive channel is active, the bulk channels together get a window near the path's bandwidth-delay
// product, found as delay-based congestion controls do (Vegas, FAST TCP, RFC 6817): every measured round trip
// moves the window towards
//
//     window · base / round trip + target queue
//
// which rests where the queue holds the target and the path is full. Pure: samples in, a window out.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace jump {

class BulkGovernor {
 public:
  // Bulk of all channels together never gets less: two packets, or throughput would suffer on any path.
  static constexpr double kMin = 64 * 1024;
  static constexpr double kMax = 64.0 * 1024 * 1024;
  // The queue aimed at, as a part of the base round trip: the keystroke's share of the price for a full path.
  static constexpr double kQueueShare = 0.08;
  // As long as the round trip is within this of the base, the path is not full: grow.
  static constexpr double kClear = 1.06;
  // Per round trip until the first queue is seen, as slow start does: 64 KiB become any path's window within
  // nine. What is too much then stands in the queue for a round trip or two.
  static constexpr double kStartGrowth = 2.0;
  // Per round trip afterwards: the window is about right, and the overshoot shall not be felt.
  static constexpr double kGrowth = 1.12;
  // Takes over with what was under way during the last round trip.
  void start(double under_way) {
    window_ = std::clamp(under_way, kMin, kMax);
    starting_ = true;
  }

  // One measured round trip; `delivered` bytes of bulk came during it.
  void on_round_trip(Duration sample, Duration base, double delivered) {
    double rtt = std::max(to_seconds(sample), 1e-6), least = std::max(to_seconds(base), 1e-6);
    bool limited = delivered > window_ / 3;  // a window that is not used is not a measurement
    if (rtt <= least * kClear) {
      if (limited) window_ *= starting_ ? kStartGrowth : kGrowth;
    } else {
      starting_ = false;
      double queue_target = std::max(kMin / 4, delivered * (least / rtt) * kQueueShare);
      window_ = 0.5 * window_ + 0.5 * (window_ * least / rtt + queue_target);
    }
    window_ = std::clamp(window_, kMin, kMax);
  }

  double window() const { return window_; }

 private:
  double window_ = kMin;
  bool starting_ = true;  // no queue was seen since start()
};

}  // namespace jump
