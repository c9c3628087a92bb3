// One bulk transfer through a forward, in either direction, for a given time, with every byte checked by its
// receiver.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "bench/stream_pattern.h"

namespace jump::bench {

struct Transferred {
  std::uint64_t bytes = 0;
  double seconds = 0;  // from the first byte of the request, to the last byte that arrived
  double megabytes_per_second() const { return static_cast<double>(bytes) / 1e6 / seconds; }
};

// `port` leads to FarEnd::source(). Ends its direction after `how_long` and takes what still comes.
Transferred download(const StreamPattern& pattern, std::uint16_t port, Duration how_long);
// `port` leads to FarEnd::sink(). Sends for `how_long`; the time is until the sink has it all and said so.
Transferred upload(const StreamPattern& pattern, std::uint16_t port, Duration how_long);

}  // namespace jump::bench
