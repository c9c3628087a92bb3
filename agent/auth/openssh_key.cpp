#include "auth/openssh_key.h"

#include <fmt/core.h>

#include "auth/base64.h"
#include "auth/key_decryption.h"
#include "base/printable.h"
#include "base/wire.h"
#include "transport/bcrypt_pbkdf.h"

namespace jump {
namespace {

constexpr std::string_view kBegin = "-----BEGIN OPENSSH PRIVATE KEY-----";
constexpr std::string_view kEnd = "-----END OPENSSH PRIVATE KEY-----";
constexpr std::string_view kMagic{"openssh-key-v1\0", 15};
constexpr std::size_t kMaxPadding = 255;
constexpr std::size_t kQuoted = 64;  // of a foreign name, in a message

Error broken(std::string_view what) {
  return {Errc::kInvalid, "broken private key: " + std::string(what), ""};
}

// The container's outer layer; the views are into the decoded bytes.
struct Container {
  std::string_view cipher, kdf;
  ByteView kdf_options, public_blob, private_part, tag;

  bool is_encrypted() const { return cipher != "none" || kdf != "none"; }
};

std::optional<Secret> decode_armour(ByteView text) {
  std::string_view body = as_text(text);
  if (!body.starts_with(kBegin)) return std::nullopt;
  body.remove_prefix(kBegin.size());
  std::size_t end = body.find(kEnd);
  if (end == std::string_view::npos) return std::nullopt;
  std::optional<Bytes> decoded = base64_decode(body.substr(0, end));
  if (!decoded) return std::nullopt;
  return Secret(std::move(*decoded));
}

Result<Container> read_container(ByteView decoded) {
  WireReader in(decoded);
  if (as_text(in.bytes(kMagic.size())) != kMagic) return broken("not openssh-key-v1");
  Container container;
  container.cipher = in.text();
  container.kdf = in.text();
  container.kdf_options = in.string();
  if (in.u32() != 1) return broken("it holds several keys, or none");
  container.public_blob = in.string();
  container.private_part = in.string();
  container.tag = in.rest();
  if (!in.ok()) return broken("cut short");
  return container;
}

// Twice the same random number, the key, then padding 1, 2, 3…
Result<PrivateKey> read_private_part(const Container& container, ByteView plain) {
  WireReader in(plain);
  if (in.u32() != in.u32() || !in.ok()) {
    return container.is_encrypted() ? wrong_passphrase() : broken("check numbers differ");
  }
  Result<PrivateKey> key = PrivateKey::from_wire(in);
  if (!key) return key;
  ByteView padding = in.rest();
  if (padding.size() > kMaxPadding) return broken("padding");
  for (std::size_t i = 0; i < padding.size(); ++i) {
    if (padding[i] != static_cast<std::uint8_t>(i + 1)) return broken("padding");
  }
  Result<PublicKey> outer = parse_public_key_blob(container.public_blob);
  if (!outer || outer->blob != key->public_key().blob) return broken("its public half is of another key");
  return key;
}

Result<Secret> decrypt(const Container& container, const Secret& passphrase) {
  const KeyCipher* cipher = find_key_cipher(container.cipher);
  if (cipher == nullptr || container.kdf != "bcrypt") {
    return Error{Errc::kUnsupported,
                 fmt::format("encrypted in a way that is not supported ({}, {})",
                             printable(container.cipher, kQuoted), printable(container.kdf, kQuoted)),
                 ""};
  }
  if (passphrase.empty()) return passphrase_needed();
  WireReader options(container.kdf_options);
  ByteView salt = options.string();
  std::uint32_t rounds = options.u32();
  if (!options.at_end()) return broken("key derivation");
  if (rounds > kMaxKdfRounds) {
    return Error{Errc::kLimit,
                 fmt::format("{} rounds of key derivation, {} at most are done", rounds, kMaxKdfRounds), ""};
  }
  Secret material = bcrypt_pbkdf(passphrase, salt, rounds, cipher->key_size + cipher->iv_size);
  if (material.empty()) return broken("key derivation");
  return decrypt_key(*cipher, material.view(), container.private_part, container.tag);
}

Result<Container> container_of(const std::optional<Secret>& decoded) {
  if (!decoded) return broken("bad base64");
  return read_container(decoded->view());
}

}  // namespace

bool is_openssh_key(ByteView text) { return as_text(text).starts_with(kBegin); }

bool is_encrypted_openssh_key(ByteView text) {
  std::optional<Secret> decoded = decode_armour(text);
  Result<Container> container = container_of(decoded);
  return container.ok() && container->is_encrypted();
}

std::optional<PublicKey> public_half_of_openssh_key(ByteView text) {
  std::optional<Secret> decoded = decode_armour(text);
  Result<Container> container = container_of(decoded);
  if (!container) return std::nullopt;
  Result<PublicKey> key = parse_public_key_blob(container->public_blob);
  if (!key) return std::nullopt;
  return std::move(key).value();
}

Result<PrivateKey> parse_openssh_key(ByteView text, const Secret& passphrase) {
  std::optional<Secret> decoded = decode_armour(text);
  Result<Container> container = container_of(decoded);
  if (!container) return container.error();
  if (!container->is_encrypted()) return read_private_part(*container, container->private_part);
  Result<Secret> plain = decrypt(*container, passphrase);
  if (!plain) return plain.error();
  return read_private_part(*container, plain->view());
}

}  // namespace jump
