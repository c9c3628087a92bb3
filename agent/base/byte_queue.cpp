#include "base/byte_queue.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace jump {

void ByteQueue::append(ByteView data) {
  size_ += data.size();
  while (!data.empty()) {
    if (first_ == chunks_.size() || chunks_.back().size() == chunks_.back().capacity())
      add_chunk(data.size());
    Bytes& tail = chunks_.back();
    std::size_t count = std::min(data.size(), tail.capacity() - tail.size());
    tail.insert(tail.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(count));
    data = data.subspan(count);
  }
}

void ByteQueue::add_chunk(std::size_t wanted) {
  if (!spares_.empty()) {
    chunks_.push_back(std::move(spares_.back()));
    spares_.pop_back();
    return;
  }
  // A queue that holds little stays little: only the second chunk on is of full size.
  bool alone = first_ == chunks_.size() && spares_wanted_ == 0;
  Bytes chunk;
  chunk.reserve(alone ? std::clamp<std::size_t>(wanted, 512, kChunkSize) : kChunkSize);
  chunks_.push_back(std::move(chunk));
}

ByteView ByteQueue::front() const {
  if (first_ == chunks_.size()) return {};
  return ByteView(chunks_[first_]).subspan(head_);
}

void ByteQueue::consume(std::size_t count) {
  assert(count <= size_);
  size_ -= count;
  while (count > 0) {
    std::size_t here = std::min(count, chunks_[first_].size() - head_);
    head_ += here;
    count -= here;
    if (head_ == chunks_[first_].size()) drop_front_chunk();
  }
}

void ByteQueue::drop_front_chunk() {
  Bytes& chunk = chunks_[first_];
  if (spares_.size() < spares_wanted_ && chunk.capacity() == kChunkSize) {
    chunk.clear();
    spares_.push_back(std::move(chunk));
  }
  head_ = 0;
  first_++;
  if (first_ == chunks_.size()) {
    chunks_.clear();
    if (spares_wanted_ == 0) chunks_.shrink_to_fit();
    first_ = 0;
  } else if (first_ > 64 && first_ > chunks_.size() / 2) {
    // Half of the vector is behind us: amortised, each chunk is moved once.
    chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  } else {
    Bytes().swap(chunks_[first_ - 1]);
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
  std::vector<Bytes>().swap(chunks_);
  first_ = head_ = size_ = 0;
}

}  // namespace jump
