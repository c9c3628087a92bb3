// LagMeter: how long the loop kept events waiting, over the last minute. One sample per turn: the time the
// turn spent working, which is what an event that arrived right after the turn began had to wait. Pure: time
// is a parameter. Cost: one addition and two comparisons per turn, one KiB and a half of memory.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"

namespace jump {

struct LagStats {
  Duration worst{};         // the longest turn
  Duration mean{};          // of all turns
  std::uint64_t turns = 0;  // how many there were
};

class LagMeter {
 public:
  void record(TimePoint now, Duration busy);
  // Of the last 60 s: of the second that `now` is in and the 59 before it.
  LagStats stats(TimePoint now) const;

 private:
  static constexpr std::int64_t kSeconds = 60;
  struct Bucket {
    std::int64_t second = -1;  // which second of the clock this bucket holds
    Duration worst{};
    Duration total{};
    std::uint64_t turns = 0;
  };

  static std::int64_t second_of(TimePoint t);

  std::array<Bucket, kSeconds> buckets_;
};

}  // namespace jump
