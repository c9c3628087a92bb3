#include "support/pattern.h"

#include <fmt/core.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>

namespace jump::test {

namespace {
constexpr std::size_t kPiece = 256 * 1024;
}

// SplitMix64 (Steele, Lea, Flood 2014): one add and three multiply-xor-shifts per eight bytes.
void Pattern::fill(std::span<std::uint8_t> buffer) {
  while (!buffer.empty()) {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    const std::size_t size = std::min(buffer.size(), sizeof z);
    std::memcpy(buffer.data(), &z, size);
    buffer = buffer.subspan(size);
  }
}

Bytes pattern_bytes(std::uint64_t seed, std::size_t size) {
  Bytes bytes(size);
  Pattern(seed).fill(bytes);
  return bytes;
}

struct Sha256::Context {
  Context() { EVP_DigestInit_ex(evp, EVP_sha256(), nullptr); }
  ~Context() { EVP_MD_CTX_free(evp); }
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;

void Sha256::update(ByteView data) { EVP_DigestUpdate(context_->evp, data.data(), data.size()); }

std::string Sha256::hex() {
  std::uint8_t digest[32];
  EVP_DigestFinal_ex(context_->evp, digest, nullptr);
  std::string text;
  for (std::uint8_t byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

std::string pattern_sha256(std::uint64_t seed, std::size_t size) {
  Pattern pattern(seed);
  Sha256 hash;
  Bytes piece(kPiece);
  for (std::size_t done = 0; done < size; done += piece.size()) {
    piece.resize(std::min(kPiece, size - done));
    pattern.fill(piece);
    hash.update(piece);
  }
  return hash.hex();
}

}  // namespace jump::test
