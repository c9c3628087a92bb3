// The byte at every offset of a measured stream: random-looking, and cheap to produce and to check (one
// memcmp), so that the proof is not what is measured. It repeats, with a period that is a prime: so no whole
// number of packets, pages or windows is a period, and a stream that lost, repeated or swapped any of those
// shows.
#pragma once

#include <cstring>

#include "base/bytes.h"

namespace jump::bench {

class StreamPattern {
 public:
  static constexpr std::size_t kPeriod = 131071;
  static constexpr std::size_t kRun = 256 * 1024;  // at(o) has so many bytes

  StreamPattern();
  const std::uint8_t* at(std::uint64_t offset) const { return bytes_.data() + offset % kPeriod; }
  // At most kRun bytes.
  bool matches(std::uint64_t offset, ByteView bytes) const {
    return std::memcmp(at(offset), bytes.data(), bytes.size()) == 0;
  }

 private:
  Bytes bytes_;
};

}  // namespace jump::bench
