#include "base/byte_queue.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace jump {
namespace {

constexpr std::size_t kSmallChunk = 512;

}  // namespace

void ByteQueue::append(ByteView data) {
  size_ += data.size();
  while (!data.empty()) {
    if (first_ == chunks_.size() || chunks_.back().room() == 0) add_chunk(std::min(data.size(), chunk_size_));
    Chunk& tail = chunks_.back();
    std::size_t count = std::min(data.size(), tail.room());
    std::memcpy(tail.bytes.get() + tail.size, data.data(), count);
    tail.size += count;
    data = data.subspan(count);
  }
}

std::uint8_t* ByteQueue::prepare(std::size_t count) {
  if (first_ == chunks_.size() || chunks_.back().room() < count) add_chunk(count);
  Chunk& tail = chunks_.back();
  return tail.bytes.get() + tail.size;
}

void ByteQueue::commit(std::size_t count) {
  if (count == 0) return;
  assert(count <= chunks_.back().room());
  chunks_.back().size += count;
  size_ += count;
}

void ByteQueue::add_chunk(std::size_t wanted) {
  // Prepared, too small for what came instead: front() must never meet an empty chunk.
  if (first_ < chunks_.size() && chunks_.back().size == 0) chunks_.pop_back();
  if (!spares_.empty() && wanted <= chunk_size_) {
    chunks_.push_back(std::move(spares_.back()));
    spares_.pop_back();
    return;
  }
  // A queue that holds little stays little: only the second chunk on is of full size.
  bool alone = first_ == chunks_.size() && spares_wanted_ == 0;
  Chunk chunk;
  chunk.capacity = std::max(wanted, alone ? kSmallChunk : chunk_size_);
  chunk.bytes = std::make_unique_for_overwrite<std::uint8_t[]>(chunk.capacity);
  chunks_.push_back(std::move(chunk));
}

ByteView ByteQueue::front() const {
  if (size_ == 0) return {};
  return ByteView(chunks_[first_].bytes.get(), chunks_[first_].size).subspan(head_);
}

void ByteQueue::consume(std::size_t count) {
  assert(count <= size_);
  size_ -= count;
  while (count > 0) {
    std::size_t here = std::min(count, chunks_[first_].size - head_);
    head_ += here;
    count -= here;
    if (head_ == chunks_[first_].size) drop_front_chunk();
  }
}

void ByteQueue::drop_front_chunk() {
  Chunk& chunk = chunks_[first_];
  if (spares_.size() < spares_wanted_ && chunk.capacity == chunk_size_) {
    chunk.size = 0;
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
    chunks_[first_ - 1] = Chunk{};
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
  std::vector<Chunk>().swap(chunks_);
  first_ = head_ = size_ = 0;
}

}  // namespace jump
