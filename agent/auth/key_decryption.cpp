#include "auth/key_decryption.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <array>

#include "auth/openssl_ptr.h"

namespace jump {
namespace {

constexpr std::string_view kChaCha20 = "chacha20-poly1305@openssh.com";
constexpr std::size_t kPoly1305KeySize = 32;
constexpr std::size_t kChaChaBlock = 64;
constexpr KeyCipher kCiphers[] = {
    {"aes256-ctr", "AES-256-CTR", 32, 16, 0, 16},
    {"aes192-ctr", "AES-192-CTR", 24, 16, 0, 16},
    {"aes128-ctr", "AES-128-CTR", 16, 16, 0, 16},
    {"aes256-cbc", "AES-256-CBC", 32, 16, 0, 16},
    {"aes192-cbc", "AES-192-CBC", 24, 16, 0, 16},
    {"aes128-cbc", "AES-128-CBC", 16, 16, 0, 16},
    {"3des-cbc", "DES-EDE3-CBC", 24, 8, 0, 8},
    {"aes256-gcm@openssh.com", "AES-256-GCM", 32, 12, 16, 16},
    {"aes128-gcm@openssh.com", "AES-128-GCM", 16, 12, 16, 16},
    // Two keys of 32 bytes; the second one would encrypt lengths, of which there are none.
    {kChaCha20, "ChaCha20", 64, 0, 16, 8}};

Error broken() { return {Errc::kInvalid, "broken private key: encrypted part", ""}; }

using Evp = std::unique_ptr<EVP_CIPHER, OpensslDeleter<EVP_CIPHER_free>>;
using EvpContext = std::unique_ptr<EVP_CIPHER_CTX, OpensslDeleter<EVP_CIPHER_CTX_free>>;
using EvpMac = std::unique_ptr<EVP_MAC, OpensslDeleter<EVP_MAC_free>>;
using EvpMacContext = std::unique_ptr<EVP_MAC_CTX, OpensslDeleter<EVP_MAC_CTX_free>>;

// A context that decrypts; null when OpenSSL does not have the cipher.
EvpContext begin(const KeyCipher& cipher, const std::uint8_t* key, const std::uint8_t* iv) {
  Evp method(EVP_CIPHER_fetch(nullptr, cipher.evp, nullptr));
  EvpContext context(method ? EVP_CIPHER_CTX_new() : nullptr);
  if (!context || EVP_DecryptInit_ex2(context.get(), method.get(), key, iv, nullptr) != 1) return nullptr;
  EVP_CIPHER_CTX_set_padding(context.get(), 0);  // the container pads by itself
  return context;
}

bool update(EVP_CIPHER_CTX* context, std::uint8_t* out, ByteView in) {
  int size = 0;
  return EVP_DecryptUpdate(context, out, &size, in.data(), static_cast<int>(in.size())) == 1 &&
         size == static_cast<int>(in.size());
}

bool poly1305(const std::uint8_t* key, ByteView data, std::uint8_t* tag, std::size_t tag_size) {
  EvpMac method(EVP_MAC_fetch(nullptr, "POLY1305", nullptr));
  EvpMacContext context(method ? EVP_MAC_CTX_new(method.get()) : nullptr);
  std::size_t size = 0;
  return context && EVP_MAC_init(context.get(), key, kPoly1305KeySize, nullptr) == 1 &&
         EVP_MAC_update(context.get(), data.data(), data.size()) == 1 &&
         EVP_MAC_final(context.get(), tag, &size, tag_size) == 1 && size == tag_size;
}

// As the SSH cipher of that name does with packet 0: block 0 of the key stream gives the tag's key, block 1
// and on encrypt.
Result<Secret> open_chacha20(const KeyCipher& cipher, const std::uint8_t* key, ByteView encrypted,
                             ByteView tag) {
  const std::array<std::uint8_t, 16> start{};  // counter and nonce
  EvpContext context = begin(cipher, key, start.data());
  Bytes first(kChaChaBlock), plain(encrypted.size());
  Secret tag_key;
  const bool keyed = context && update(context.get(), first.data(), first);
  tag_key = Secret(std::move(first));
  std::array<std::uint8_t, 16> expected{};
  if (!keyed || !poly1305(tag_key.view().data(), encrypted, expected.data(), expected.size()))
    return broken();
  if (CRYPTO_memcmp(expected.data(), tag.data(), expected.size()) != 0) return wrong_passphrase();
  const bool done = update(context.get(), plain.data(), encrypted);
  Secret result(std::move(plain));
  if (!done) return broken();
  return result;
}

}  // namespace

const KeyCipher* find_key_cipher(std::string_view name) {
  for (const KeyCipher& cipher : kCiphers) {
    if (cipher.name == name) return &cipher;
  }
  return nullptr;
}

Result<Secret> decrypt_key(const KeyCipher& cipher, ByteView material, ByteView encrypted, ByteView tag) {
  const std::uint8_t* key = material.data();
  if (material.size() != cipher.key_size + cipher.iv_size || tag.size() != cipher.tag_size ||
      encrypted.empty() || encrypted.size() % cipher.block_size != 0) {
    return broken();
  }
  if (cipher.name == kChaCha20) return open_chacha20(cipher, key, encrypted, tag);
  EvpContext context = begin(cipher, key, key + cipher.key_size);
  if (!context) {
    return Error{Errc::kUnsupported, "OpenSSL does not have its cipher, " + std::string(cipher.name), ""};
  }
  Bytes tag_copy = to_bytes(tag);
  if (cipher.tag_size > 0 && EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG,
                                                 static_cast<int>(tag_copy.size()), tag_copy.data()) != 1) {
    return broken();
  }
  Bytes plain(encrypted.size());
  const bool updated = update(context.get(), plain.data(), encrypted);
  Secret result(std::move(plain));
  int rest = 0;
  std::uint8_t end[EVP_MAX_BLOCK_LENGTH];
  if (!updated) return broken();
  if (EVP_DecryptFinal_ex(context.get(), end, &rest) != 1) return wrong_passphrase();
  return result;
}

Error wrong_passphrase() { return {Errc::kAuth, "the passphrase is wrong", ""}; }
Error passphrase_needed() { return {Errc::kAuth, "protected by a passphrase", ""}; }

}  // namespace jump
