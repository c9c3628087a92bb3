#include "loop/lag_meter.h"

#include <algorithm>

namespace jump {

std::int64_t LagMeter::second_of(TimePoint t) {
  return std::chrono::duration_cast<seconds>(t.time_since_epoch()).count();
}

void LagMeter::record(TimePoint now, Duration busy) {
  std::int64_t second = second_of(now);
  Bucket& bucket = buckets_[static_cast<std::size_t>(second % kSeconds)];
  if (bucket.second != second) bucket = Bucket{.second = second};
  bucket.worst = std::max(bucket.worst, busy);
  bucket.total += busy;
  ++bucket.turns;
}

LagStats LagMeter::stats(TimePoint now) const {
  std::int64_t oldest = second_of(now) - kSeconds;
  LagStats stats;
  Duration total{};
  for (const Bucket& bucket : buckets_) {
    if (bucket.second <= oldest) continue;
    stats.worst = std::max(stats.worst, bucket.worst);
    total += bucket.total;
    stats.turns += bucket.turns;
  }
  if (stats.turns > 0) stats.mean = total / static_cast<Duration::rep>(stats.turns);
  return stats;
}

}  // namespace jump
