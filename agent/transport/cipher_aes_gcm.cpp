#include "transport/cipher_aes_gcm.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "base/wire.h"

namespace jump {

std::unique_ptr<CipherAesGcm> CipherAesGcm::create(Direction direction, ByteView key, ByteView iv) {
  if ((key.size() != 16 && key.size() != 32) || iv.size() != kIvSize) return nullptr;
  std::unique_ptr<CipherAesGcm> cipher(new CipherAesGcm);
  cipher->context_.reset(EVP_CIPHER_CTX_new());
  const EVP_CIPHER* algorithm = key.size() == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
  const int encrypt = direction == Direction::kSeal ? 1 : 0;
  if (!cipher->context_ ||
      EVP_CipherInit_ex(cipher->context_.get(), algorithm, nullptr, key.data(), iv.data(), encrypt) != 1) {
    return nullptr;
  }
  std::copy(iv.begin(), iv.end(), cipher->nonce_.begin());
  return cipher;
}

CipherAesGcm::~CipherAesGcm() { OPENSSL_cleanse(nonce_.data(), nonce_.size()); }

std::optional<std::uint32_t> CipherAesGcm::get_length(std::uint32_t /*seqno*/, const std::uint8_t* field) {
  const std::uint32_t length = load_u32(field);
  if (length < kBlockSize || length > kMaxLength || length % kBlockSize != 0) return std::nullopt;
  return length;
}

// Takes this packet's nonce, steps to the next one, and feeds the length field as associated data.
bool CipherAesGcm::begin_packet(const std::uint8_t* length_field) {
  EVP_CIPHER_CTX* context = context_.get();
  if (EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, nonce_.data(), -1) != 1) return false;
  for (std::size_t i = kIvSize; i-- > kIvSize - 8;) {
    if (++nonce_[i] != 0) break;
  }
  int written = 0;
  return EVP_CipherUpdate(context, nullptr, &written, length_field, static_cast<int>(kLengthSize)) == 1;
}

bool CipherAesGcm::open_to(std::uint32_t /*seqno*/, const std::uint8_t* packet, std::size_t body,
                           std::uint8_t* out) {
  EVP_CIPHER_CTX* context = context_.get();
  const std::uint8_t* data = packet + kLengthSize;
  int written = 0;
  if (!begin_packet(packet)) return false;
  if (EVP_CipherUpdate(context, out, &written, data, static_cast<int>(body)) != 1) return false;
  // OpenSSL wants it writable and only reads it.
  auto* tag = const_cast<std::uint8_t*>(data + body);
  if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagSize, tag) != 1) return false;
  std::uint8_t none[kBlockSize];
  return EVP_CipherFinal_ex(context, none, &written) == 1;
}

bool CipherAesGcm::seal_from(std::uint32_t /*seqno*/, std::span<const ByteView> parts, std::uint8_t* packet) {
  EVP_CIPHER_CTX* context = context_.get();
  std::uint8_t* out = packet + kLengthSize;
  int written = 0;
  store_u32(packet, static_cast<std::uint32_t>(total_size(parts)));
  if (!begin_packet(packet)) return false;
  for (ByteView part : parts) {
    if (EVP_CipherUpdate(context, out, &written, part.data(), static_cast<int>(part.size())) != 1)
      return false;
    out += part.size();
  }
  if (EVP_CipherFinal_ex(context, out, &written) != 1) return false;
  return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagSize, out) == 1;
}

}  // namespace jump
