// Text on its way, first in first out, in one piece. What passes may be a password: every byte is wiped when
// it is consumed, moved, or left behind by growth. Memory is bounded by twice what it held at once; a large
// buffer is given back when it runs empty.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

namespace jump::proto {

class WipedBuffer {
 public:
  WipedBuffer() = default;
  ~WipedBuffer() { clear(); }
  WipedBuffer(WipedBuffer&& other) noexcept;
  WipedBuffer& operator=(WipedBuffer&& other) noexcept;
  WipedBuffer(const WipedBuffer&) = delete;
  WipedBuffer& operator=(const WipedBuffer&) = delete;

  // Amortised O(1) per byte, however small the pieces.
  void append(std::string_view text);
  // Drops `count` bytes from the front; count <= size().
  void consume(std::size_t count);
  // Drops everything and gives the memory back.
  void clear();

  // Good until the next call that is not const.
  std::string_view view() const { return {data_.get() + begin_, size()}; }
  std::size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }

 private:
  static constexpr std::size_t kSmallest = 256;
  static constexpr std::size_t kKept = 64 * 1024;  // an empty buffer keeps at most this much

  void make_room(std::size_t count);

  std::unique_ptr<char[]> data_;  // outside of [begin_, end_) are no bytes that were ever appended
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0, end_ = 0;
};

}  // namespace jump::proto
