// chacha20-poly1305@openssh.com (OpenSSH's PROTOCOL.chacha20poly1305). Not RFC 8439's AEAD: two ChaCha20 keys
// with 64-bit nonces, the second for the length field alone; the nonce is the packet's sequence number;
// Poly1305 runs over the encrypted length field and body, under the first 32 bytes of the main key's block 0.
//
// 64 bytes of key: the main key, then the key of the length field.
#pragma once

#include <openssl/evp.h>

#include <array>

#include "transport/packet_cipher.h"

namespace jump {

class CipherChaCha20Poly1305 final : public PacketCipher {
 public:
  static constexpr std::size_t kKeySize = 64;
  static constexpr std::size_t kBlockSize = 8;

  // nullptr when OpenSSL refuses.
  static std::unique_ptr<CipherChaCha20Poly1305> create(ByteView key);

  std::optional<std::uint32_t> get_length(std::uint32_t seqno, const std::uint8_t* field) override;
  bool open_to(std::uint32_t seqno, const std::uint8_t* packet, std::size_t body, std::uint8_t* out) override;
  bool seal_from(std::uint32_t seqno, std::span<const ByteView> parts, std::uint8_t* packet) override;

 private:
  // Sequence numbers are the nonces and wrap after 2^32 packets: with one key no more than that may pass. (A
  // server renews keys long before; OpenSSH after 2^31 packets or 1 GB.)
  static constexpr std::uint64_t kMaxPackets = std::uint64_t{1} << 32;

  CipherChaCha20Poly1305() = default;
  bool begin_packet(std::uint32_t seqno);
  bool crypt_length(std::uint32_t seqno, const std::uint8_t* in, std::uint8_t* out);
  bool compute_tag(const std::uint8_t* data, std::size_t size, std::uint8_t* tag);

  std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> main_{nullptr, EVP_CIPHER_CTX_free};
  std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> header_{nullptr, EVP_CIPHER_CTX_free};
  std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> poly1305_{nullptr, EVP_MAC_CTX_free};
  std::uint64_t packets_ = 0;
};

}  // namespace jump
