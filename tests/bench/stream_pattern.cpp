#include "bench/stream_pattern.h"

#include "support/pattern.h"

namespace jump::bench {

StreamPattern::StreamPattern() : bytes_(test::pattern_bytes(1, kPeriod)) {
  bytes_.resize(kPeriod + kRun);
  for (std::size_t i = kPeriod; i < bytes_.size(); ++i) bytes_[i] = bytes_[i - kPeriod];
}

}  // namespace jump::bench
