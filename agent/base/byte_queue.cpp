#include "base/byte_queue.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace jump {

void ByteQueue::append(ByteView data) {
  size_ += data.size();
  while (!data.empty()) {
    if (chunks_.empty() || chunks_.back().size() == chunks_.back().capacity()) {
      chunks_.emplace_back();
      // A queue that holds little stays little: only the second chunk on is of full size.
      chunks_.back().reserve(chunks_.size() == 1 ? std::min(std::max<std::size_t>(data.size(), 512), kChunkSize)
                                                 : kChunkSize);
    }
    Bytes& tail = chunks_.back();
    std::size_t count = std::min(data.size(), tail.capacity() - tail.size());
    tail.insert(tail.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(count));
    data = data.subspan(count);
  }
}

ByteView ByteQueue::front() const {
  if (chunks_.empty()) return {};
  return ByteView(chunks_.front()).subspan(head_);
}

void ByteQueue::consume(std::size_t count) {
  assert(count <= size_);
  size_ -= count;
  while (count > 0) {
    std::size_t here = std::min(count, chunks_.front().size() - head_);
    head_ += here;
    count -= here;
    if (head_ == chunks_.front().size()) {
      chunks_.pop_front();
      head_ = 0;
    }
  }
}

std::size_t ByteQueue::read(std::span<std::uint8_t> out) {
  std::size_t done = 0;
  while (done < out.size() && !empty()) {
    ByteView run = front();
    std::size_t count = std::min(run.size(), out.size() - done);
    std::memcpy(out.data() + done, run.data(), count);
    consume(count);
    done += count;
  }
  return done;
}

void ByteQueue::clear() {
  chunks_.clear();
  head_ = 0;
  size_ = 0;
}

}  // namespace jump
