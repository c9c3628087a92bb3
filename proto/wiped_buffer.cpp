#include "proto/wiped_buffer.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

namespace jump::proto {

WipedBuffer::WipedBuffer(WipedBuffer&& other) noexcept
    : data_(std::move(other.data_)),
      capacity_(std::exchange(other.capacity_, 0)),
      begin_(std::exchange(other.begin_, 0)),
      end_(std::exchange(other.end_, 0)) {}

WipedBuffer& WipedBuffer::operator=(WipedBuffer&& other) noexcept {
  if (this == &other) return *this;
  clear();
  data_ = std::move(other.data_);
  capacity_ = std::exchange(other.capacity_, 0);
  begin_ = std::exchange(other.begin_, 0);
  end_ = std::exchange(other.end_, 0);
  return *this;
}

void WipedBuffer::append(std::string_view text) {
  if (text.empty()) return;
  if (capacity_ - end_ < text.size()) make_room(text.size());
  std::memcpy(data_.get() + end_, text.data(), text.size());
  end_ += text.size();
}

void WipedBuffer::consume(std::size_t count) {
  assert(count <= size());
  if (count == 0) return;
  explicit_bzero(data_.get() + begin_, count);
  begin_ += count;
  if (!empty()) return;
  begin_ = end_ = 0;
  if (capacity_ > kKept) clear();
}

void WipedBuffer::clear() {
  if (!empty()) explicit_bzero(data_.get() + begin_, size());
  data_.reset();
  capacity_ = begin_ = end_ = 0;
}

void WipedBuffer::make_room(std::size_t count) {
  const std::size_t used = size();
  // Moving costs O(1) per byte where the free part in front is the larger one; then the two do not overlap.
  const bool move = begin_ >= used && capacity_ - used >= count;
  if (!move) {
    const std::size_t capacity = std::max({kSmallest, 2 * capacity_, used + count});
    std::unique_ptr<char[]> larger(new char[capacity]);
    if (used > 0) std::memcpy(larger.get(), data_.get() + begin_, used);
    clear();
    data_ = std::move(larger);
    capacity_ = capacity;
  } else if (used > 0) {
    std::memcpy(data_.get(), data_.get() + begin_, used);
    explicit_bzero(data_.get() + begin_, used);
  }
  begin_ = 0;
  end_ = used;
}

}  // namespace jump::proto
