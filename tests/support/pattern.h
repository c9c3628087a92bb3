// Bytes that look random, are the same for the same seed, and differ at every offset: what a transfer that
// swaps, drops or repeats anything cannot get past. And SHA-256, to compare them without keeping them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"

namespace jump::test {

class Pattern {
 public:
  explicit Pattern(std::uint64_t seed) : state_(seed) {}
  // The next buffer.size() bytes; a multiple of 8 except for the last piece.
  void fill(std::span<std::uint8_t> buffer);

 private:
  std::uint64_t state_;
};

Bytes pattern_bytes(std::uint64_t seed, std::size_t size);

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void update(ByteView data);
  std::string hex();  // once

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// Of pattern_bytes(seed, size), made piece by piece.
std::string pattern_sha256(std::uint64_t seed, std::size_t size);

}  // namespace jump::test
