// A first-in first-out queue of bytes, kept in chunks so that neither end ever moves what lies between.
// Memory is bounded by size() plus one chunk; an empty queue holds none.
#pragma once

#include <cstddef>
#include <deque>

#include "base/bytes.h"

namespace jump {

class ByteQueue {
 public:
  ByteQueue() = default;
  ByteQueue(ByteQueue&&) noexcept = default;
  ByteQueue& operator=(ByteQueue&&) noexcept = default;
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;

  void append(ByteView data);
  // The longest contiguous run at the front; empty only when the queue is. Good until the next non-const call.
  ByteView front() const;
  // Drops `count` bytes from the front; count <= size().
  void consume(std::size_t count);
  // Copies up to out.size() bytes to `out` and drops them; returns how many.
  std::size_t read(std::span<std::uint8_t> out);
  void clear();

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  static constexpr std::size_t kChunkSize = 32 * 1024;  // one SSH packet's worth

  std::deque<Bytes> chunks_;
  std::size_t head_ = 0;  // consumed bytes of chunks_.front()
  std::size_t size_ = 0;
};

}  // namespace jump
