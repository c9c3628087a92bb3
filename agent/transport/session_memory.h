// SessionMemory: every byte that libssh2 allocates for one session. It bounds what a server can make us keep
// (libssh2 queues each packet that nobody asked for), wipes what is given back, and frees in the end what
// libssh2's error paths forget. Invariant: in_use() <= kLimit.
#pragma once

#include <cstddef>

namespace jump {

class SessionMemory {
 public:
  // A session is about 90 KiB, a packet 35 KB, both KEXINITs and a key exchange together less than 200 KiB.
  static constexpr std::size_t kLimit = 1024 * 1024;

  SessionMemory() = default;
  ~SessionMemory();
  SessionMemory(const SessionMemory&) = delete;
  SessionMemory& operator=(const SessionMemory&) = delete;

  // nullptr at the limit; hit_limit() remembers it.
  void* allocate(std::size_t size);
  void* reallocate(void* data, std::size_t size);
  void release(void* data);

  std::size_t in_use() const { return in_use_; }
  bool hit_limit() const { return hit_limit_; }

 private:
  struct alignas(std::max_align_t) Block {
    Block* previous;
    Block* next;
    std::size_t size;
  };

  void unlink(Block* block);

  Block* first_ = nullptr;
  std::size_t in_use_ = 0;
  bool hit_limit_ = false;
};

}  // namespace jump
