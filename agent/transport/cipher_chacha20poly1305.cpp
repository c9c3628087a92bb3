#include "transport/cipher_chacha20poly1305.h"

#include <openssl/crypto.h>

#include "base/wire.h"

namespace jump {

namespace {

constexpr std::size_t kChaChaBlock = 64;
constexpr std::size_t kPolyKeySize = 32;

// OpenSSL's 16-byte ChaCha20 IV: the block counter, little-endian, then the nonce: here the sequence number
// as SSH's uint64.
struct ChaChaIv {
  explicit ChaChaIv(std::uint32_t seqno) { store_u32(bytes.data() + 12, seqno); }
  std::array<std::uint8_t, 16> bytes{};
};

bool set_key(EVP_CIPHER_CTX* context, const std::uint8_t* key) {
  return context != nullptr && EVP_EncryptInit_ex(context, EVP_chacha20(), nullptr, key, nullptr) == 1;
}

}  // namespace

std::unique_ptr<CipherChaCha20Poly1305> CipherChaCha20Poly1305::create(ByteView key) {
  if (key.size() != kKeySize) return nullptr;
  std::unique_ptr<CipherChaCha20Poly1305> cipher(new CipherChaCha20Poly1305);
  cipher->main_.reset(EVP_CIPHER_CTX_new());
  cipher->header_.reset(EVP_CIPHER_CTX_new());
  std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> mac(EVP_MAC_fetch(nullptr, "POLY1305", nullptr),
                                                        EVP_MAC_free);
  if (mac) cipher->poly1305_.reset(EVP_MAC_CTX_new(mac.get()));
  if (!cipher->poly1305_ || !set_key(cipher->main_.get(), key.data()) ||
      !set_key(cipher->header_.get(), key.data() + kKeySize / 2)) {
    return nullptr;
  }
  return cipher;
}

std::optional<std::uint32_t> CipherChaCha20Poly1305::get_length(std::uint32_t seqno,
                                                                const std::uint8_t* field) {
  std::uint8_t plain[kLengthSize];
  if (!crypt_length(seqno, field, plain)) return std::nullopt;
  const std::uint32_t length = load_u32(plain);
  if (length < kBlockSize || length > kMaxLength || length % kBlockSize != 0) return std::nullopt;
  return length;
}

bool CipherChaCha20Poly1305::crypt_length(std::uint32_t seqno, const std::uint8_t* in, std::uint8_t* out) {
  const ChaChaIv iv(seqno);
  int written = 0;
  return EVP_EncryptInit_ex(header_.get(), nullptr, nullptr, nullptr, iv.bytes.data()) == 1 &&
         EVP_EncryptUpdate(header_.get(), out, &written, in, static_cast<int>(kLengthSize)) == 1;
}

// Keys Poly1305 with block 0 of the main key stream and leaves that stream at block 1, where the body's
// begins.
bool CipherChaCha20Poly1305::begin_packet(std::uint32_t seqno) {
  if (++packets_ > kMaxPackets) return false;
  static constexpr std::uint8_t kZeros[kChaChaBlock] = {};
  const ChaChaIv iv(seqno);
  std::uint8_t block[kChaChaBlock];
  int written = 0;
  const bool keyed = EVP_EncryptInit_ex(main_.get(), nullptr, nullptr, nullptr, iv.bytes.data()) == 1 &&
                     EVP_EncryptUpdate(main_.get(), block, &written, kZeros, sizeof kZeros) == 1 &&
                     EVP_MAC_init(poly1305_.get(), block, kPolyKeySize, nullptr) == 1;
  OPENSSL_cleanse(block, sizeof block);
  return keyed;
}

bool CipherChaCha20Poly1305::compute_tag(const std::uint8_t* data, std::size_t size, std::uint8_t* tag) {
  std::size_t written = 0;
  return EVP_MAC_update(poly1305_.get(), data, size) == 1 &&
         EVP_MAC_final(poly1305_.get(), tag, &written, kTagSize) == 1;
}

bool CipherChaCha20Poly1305::open_to(std::uint32_t seqno, const std::uint8_t* packet, std::size_t body,
                                     std::uint8_t* out) {
  const std::uint8_t* data = packet + kLengthSize;
  std::uint8_t tag[kTagSize];
  if (!begin_packet(seqno) || !compute_tag(packet, kLengthSize + body, tag)) return false;
  if (CRYPTO_memcmp(tag, data + body, kTagSize) != 0) return false;
  int written = 0;
  return EVP_EncryptUpdate(main_.get(), out, &written, data, static_cast<int>(body)) == 1;
}

bool CipherChaCha20Poly1305::seal_from(std::uint32_t seqno, std::span<const ByteView> parts,
                                       std::uint8_t* packet) {
  std::uint8_t* out = packet + kLengthSize;
  int written = 0;
  store_u32(packet, static_cast<std::uint32_t>(total_size(parts)));
  if (!begin_packet(seqno) || !crypt_length(seqno, packet, packet)) return false;
  for (ByteView part : parts) {
    if (EVP_EncryptUpdate(main_.get(), out, &written, part.data(), static_cast<int>(part.size())) != 1) {
      return false;
    }
    out += part.size();
  }
  return compute_tag(packet, static_cast<std::size_t>(out - packet), out);
}

}  // namespace jump
