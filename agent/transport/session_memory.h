// SessionMemory: every byte that libssh2 allocates for one session. It bounds what a server can make us keep
// (libssh2 queues each packet that nobody asked for), wipes what is given back, and frees in the end what
// libssh2 forgets: on error paths, and a little in each key exchange. Invariant: in_use() <= kLimit +
// kLeftByExchange for each exchange that was noted.
#pragma once

#include <cstddef>

namespace jump {

class SessionMemory {
 public:
  // A session is about 90 KiB, a packet 35 KB, both KEXINITs and a key exchange together less than 200 KiB.
  static constexpr std::size_t kLimit = 1024 * 1024;

  // libssh2 1.11.1 makes two keys for the MAC that AES-GCM has built in, and does not free them.
  static constexpr std::size_t kLeftByExchange = 2 * 48;

  SessionMemory() = default;
  ~SessionMemory();
  SessionMemory(const SessionMemory&) = delete;
  SessionMemory& operator=(const SessionMemory&) = delete;

  // nullptr at the limit; hit_limit() remembers it.
  void* allocate(std::size_t size);
  void* reallocate(void* data, std::size_t size);
  void release(void* data);

  // A key exchange has come to its end: what it has left stays for as long as the session, and is not what a
  // server makes us keep.
  void note_key_exchange() { limit_ += kLeftByExchange; }

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
  std::size_t limit_ = kLimit;
  bool hit_limit_ = false;
};

}  // namespace jump
