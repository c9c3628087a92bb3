// A first-in first-out queue of bytes, kept in chunks so that neither end ever moves what lies between.
// Memory is bounded by size() plus one chunk, plus the spare chunks that a busy queue may keep for what comes
// next; an empty queue without spares holds none.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/bytes.h"

namespace jump {

class ByteQueue {
 public:
  static constexpr std::size_t kChunkSize = 32 * 1024;  // about one SSH packet

  // spares: emptied chunks kept for reuse, so that a queue that fills and drains all the time does not
  // allocate.
  explicit ByteQueue(std::size_t spares = 0, std::size_t chunk_size = kChunkSize)
      : spares_wanted_(spares), chunk_size_(chunk_size) {}
  ByteQueue(ByteQueue&&) noexcept = default;
  ByteQueue& operator=(ByteQueue&&) noexcept = default;
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;

  void append(ByteView data);
  // Room for `count` bytes in one piece behind what is queued, to be filled in place; commit() says how many
  // of them count. Good until the next non-const call.
  std::uint8_t* prepare(std::size_t count);
  void commit(std::size_t count);
  // The longest contiguous run at the front; empty only when the queue is. Good until the next non-const
  // call.
  ByteView front() const;
  // Drops `count` bytes from the front; count <= size().
  void consume(std::size_t count);
  // Copies up to out.size() bytes to `out` and drops them; returns how many.
  std::size_t read(std::span<std::uint8_t> out);
  void clear();

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  struct Chunk {
    std::unique_ptr<std::uint8_t[]> bytes;
    std::size_t capacity = 0;
    std::size_t size = 0;
    std::size_t room() const { return capacity - size; }
  };

  void add_chunk(std::size_t wanted);
  void drop_front_chunk();

  std::vector<Chunk> chunks_;  // in use from first_ on
  std::vector<Chunk> spares_;  // empty, of chunk_size_
  std::size_t spares_wanted_;
  std::size_t chunk_size_;
  std::size_t first_ = 0;
  std::size_t head_ = 0;  // consumed bytes of the first chunk
  std::size_t size_ = 0;
};

}  // namespace jump
