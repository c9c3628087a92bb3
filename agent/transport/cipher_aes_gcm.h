// AES in Galois/counter mode as SSH uses it: aes128-gcm@openssh.com and aes256-gcm@openssh.com (RFC 5647,
// with the negotiation of OpenSSH's PROTOCOL 1.6). The length field travels in the clear, as additional
// authenticated data. The nonce is the key exchange's 12-byte IV whose last 8 bytes count packets; the
// sequence number plays no part.
#pragma once

#include <openssl/evp.h>

#include <array>

#include "transport/packet_cipher.h"

namespace jump {

class CipherAesGcm final : public PacketCipher {
 public:
  static constexpr std::size_t kIvSize = 12;
  static constexpr std::size_t kBlockSize = 16;

  // key: 16 or 32 bytes; iv: kIvSize bytes. nullptr when OpenSSL refuses.
  static std::unique_ptr<CipherAesGcm> create(Direction direction, ByteView key, ByteView iv);
  ~CipherAesGcm() override;

  std::optional<std::uint32_t> get_length(std::uint32_t seqno, const std::uint8_t* field) override;
  bool open_to(std::uint32_t seqno, const std::uint8_t* packet, std::size_t body, std::uint8_t* out) override;
  bool seal_from(std::uint32_t seqno, std::span<const ByteView> parts, std::uint8_t* packet) override;

 private:
  CipherAesGcm() = default;
  bool begin_packet(const std::uint8_t* length_field);

  std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context_{nullptr, EVP_CIPHER_CTX_free};
  std::array<std::uint8_t, kIvSize> nonce_{};  // of the next packet
};

}  // namespace jump
