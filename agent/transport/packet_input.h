// PacketInput: bytes from the network on their way to whole packets: those that were kept, then those of the
// read that is going on. Pure.
//
//   append() ─► kept │ fresh ◄─ begin_read()        peek(n) ─► n bytes in one piece        consume(n)
//
// Invariant: fresh bytes are copied only where a packet begins in kept ones, or when end_read() keeps the
// rest.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/bytes.h"

namespace jump {

class PacketInput {
 public:
  void append(ByteView data) { kept_.insert(kept_.end(), data.begin(), data.end()); }
  // `fresh` stays the caller's, and good until end_read().
  void begin_read(ByteView fresh) { fresh_ = fresh; }
  void end_read() {
    append(fresh_);
    fresh_ = {};
  }

  std::size_t size() const { return kept() + fresh_.size(); }

  // The first `count` bytes in one piece, good until the next non-const call; nullptr when there are fewer.
  const std::uint8_t* peek(std::size_t count) {
    if (size() < count) return nullptr;
    if (kept() == 0) return fresh_.data();
    if (kept() < count) {
      const std::size_t missing = count - kept();
      append(fresh_.first(missing));
      fresh_ = fresh_.subspan(missing);
    }
    return kept_.data() + head_;
  }

  // Drops `count` bytes from the front; count <= size().
  void consume(std::size_t count) {
    const std::size_t here = std::min(count, kept());
    head_ += here;
    fresh_ = fresh_.subspan(count - here);
    if (kept() > 0) return;
    head_ = 0;
    if (kept_.capacity() <= kSpare) {
      kept_.clear();
    } else {
      Bytes().swap(kept_);
    }
  }

  // Copies up to out.size() bytes to `out` and drops them; returns how many.
  std::size_t read(std::span<std::uint8_t> out) {
    const std::size_t count = std::min(out.size(), size());
    if (count > 0) std::memcpy(out.data(), peek(count), count);
    consume(count);
    return count;
  }

 private:
  // Room that is kept for the next packet that comes in two pieces.
  static constexpr std::size_t kSpare = 72 * 1024;

  std::size_t kept() const { return kept_.size() - head_; }

  Bytes kept_;  // from head_ on
  std::size_t head_ = 0;
  ByteView fresh_;
};

}  // namespace jump
