#include "auth/key_file.h"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "auth/base64.h"
#include "auth/small_file.h"
#include "base/secret.h"

namespace jump {
namespace {

constexpr std::size_t kMaxFileBytes = 1024 * 1024;  // OpenSSH's MAX_KEY_FILE_SIZE
constexpr std::string_view kBegin = "-----BEGIN OPENSSH PRIVATE KEY-----";
constexpr std::string_view kEnd = "-----END OPENSSH PRIVATE KEY-----";
constexpr std::string_view kMagic{"openssh-key-v1\0", 15};
constexpr mode_t kOthersMayUse = 077;
constexpr std::size_t kMaxPadding = 255;

Error broken(std::string_view what) {
  return {Errc::kInvalid, "broken private key: " + std::string(what), ""};
}

// The container's outer layer; the views are into the decoded bytes.
struct Container {
  std::string_view cipher, kdf;
  ByteView public_blob, private_part;
};

bool is_container(ByteView text) { return as_text(text).starts_with(kBegin); }

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
  in.string();  // the KDF's options
  if (in.u32() != 1) return broken("it holds several keys, or none");
  container.public_blob = in.string();
  container.private_part = in.string();
  if (!in.ok()) return broken("cut short");
  return container;
}

// The layer that would be encrypted: twice the same random number, the key, then padding 1, 2, 3…
Result<PrivateKey> read_private_part(const Container& container) {
  WireReader in(container.private_part);
  if (in.u32() != in.u32() || !in.ok()) return broken("check numbers differ");
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

Error passphrase_needed() { return {Errc::kUnsupported, "protected by a passphrase", ""}; }

Result<PrivateKey> parse_container(ByteView text) {
  std::optional<Secret> decoded = decode_armour(text);
  if (!decoded) return broken("bad base64");
  Result<Container> container = read_container(decoded->view());
  if (!container) return container.error();
  if (container->cipher != "none" || container->kdf != "none") return passphrase_needed();
  return read_private_part(*container);
}

void read_public_half(ByteView text, KeyFile* file) {
  file->public_key = public_half_of(text);
  if (file->public_key) return;
  Result<SmallFile> beside = read_small_file(file->path + ".pub", kMaxFileBytes);
  if (!beside) return;
  Result<PublicKey> key = parse_public_key_file(beside->content.text());
  if (key.ok()) file->public_key = std::move(key).value();
}

}  // namespace

Result<PrivateKey> parse_private_key(ByteView text) {
  if (is_container(text)) return parse_container(text);
  if (is_encrypted_key(text)) return passphrase_needed();
  return PrivateKey::from_pem(text);
}

bool is_encrypted_key(ByteView text) {
  if (is_container(text)) {
    std::optional<Secret> decoded = decode_armour(text);
    if (!decoded) return false;
    Result<Container> container = read_container(decoded->view());
    return container.ok() && (container->cipher != "none" || container->kdf != "none");
  }
  std::string_view pem = as_text(text);
  return pem.find("-----BEGIN ENCRYPTED PRIVATE KEY-----") != std::string_view::npos ||
         pem.find("Proc-Type: 4,ENCRYPTED") != std::string_view::npos;
}

std::optional<PublicKey> public_half_of(ByteView text) {
  std::optional<Secret> decoded = decode_armour(text);
  if (!decoded) return std::nullopt;
  Result<Container> container = read_container(decoded->view());
  if (!container) return std::nullopt;
  Result<PublicKey> key = parse_public_key_blob(container->public_blob);
  if (!key) return std::nullopt;
  return std::move(key).value();
}

KeyFile load_key_file(const std::string& path) {
  KeyFile file;
  file.path = path;
  Result<SmallFile> read = read_small_file(path, kMaxFileBytes);
  if (!read) {
    file.missing = read.error().code == Errc::kNotFound;
    if (!file.missing) file.problem = Error{read.error().code, "unreadable: " + read.error().message, ""};
    read_public_half({}, &file);  // FILE.pub alone selects a key of the agent
    return file;
  }
  ByteView text = read->content.view();
  Result<PublicKey> alone = parse_public_key_file(as_text(text));
  if (alone.ok()) {
    file.public_key = std::move(alone).value();
    return file;
  }
  bool exposed = read->owner == getuid() && (read->mode & kOthersMayUse) != 0;
  Result<PrivateKey> key = parse_private_key(text);
  if (key.ok() && !exposed) {
    file.public_key = key->public_key();
    file.private_key = std::move(key).value();
    return file;
  }
  read_public_half(text, &file);
  if (key.ok() && !file.public_key) file.public_key = key->public_key();
  if (exposed && (key.ok() || is_encrypted_key(text))) {
    file.problem = Error{Errc::kInvalid, fmt::format("mode {:04o}: others may read it", read->mode & 07777),
                         fmt::format("chmod 600 {}", display_path(path))};
  } else if (is_encrypted_key(text)) {
    file.problem = Error{Errc::kUnsupported, "protected by a passphrase",
                         fmt::format("ssh-add {} and try again", display_path(path))};
  } else {
    file.problem = key.error();
  }
  return file;
}

std::string display_path(std::string_view path) {
  const char* home = std::getenv("HOME");
  std::string_view prefix = home != nullptr ? home : "";
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  if (prefix.empty() || !path.starts_with(prefix) || !path.substr(prefix.size()).starts_with('/')) {
    return std::string(path);
  }
  return "~" + std::string(path.substr(prefix.size()));
}

}  // namespace jump
