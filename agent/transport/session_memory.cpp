#include "transport/session_memory.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace jump {

namespace {

// Keys, passwords and key-exchange values are small, and so is what is wiped on the way; bulk packets are
// not.
constexpr std::size_t kWipeBelow = 8 * 1024;

// libssh2 1.11.1 writes up to a cipher's block beyond a packet that is shorter than one (GHSA-6c79-444r-wx26;
// some distributions have mended it), before the seam sees that the packet is none.
constexpr std::size_t kSlack = 32;

}  // namespace

SessionMemory::~SessionMemory() {
  while (first_ != nullptr) release(first_ + 1);
}

void* SessionMemory::allocate(std::size_t size) {
  if (size > limit_ - in_use_) {
    hit_limit_ = true;
    return nullptr;
  }
  auto* block = static_cast<Block*>(std::malloc(sizeof(Block) + size + kSlack));
  if (block == nullptr) return nullptr;
  block->previous = nullptr;
  block->next = first_;
  block->size = size;
  if (first_ != nullptr) first_->previous = block;
  first_ = block;
  in_use_ += size;
  return block + 1;
}

void* SessionMemory::reallocate(void* data, std::size_t size) {
  void* moved = allocate(size);
  if (moved == nullptr || data == nullptr) return moved;
  std::memcpy(moved, data, std::min(size, (static_cast<Block*>(data) - 1)->size));
  release(data);
  return moved;
}

void SessionMemory::release(void* data) {
  if (data == nullptr) return;
  Block* block = static_cast<Block*>(data) - 1;
  unlink(block);
  if (block->size < kWipeBelow) OPENSSL_cleanse(data, block->size);
  std::free(block);
}

void SessionMemory::unlink(Block* block) {
  if (block->previous != nullptr) {
    block->previous->next = block->next;
  } else {
    first_ = block->next;
  }
  if (block->next != nullptr) block->next->previous = block->previous;
  in_use_ -= block->size;
}

}  // namespace jump
