#include "auth/key_file.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "auth/key_decryption.h"
#include "auth/openssh_key.h"
#include "auth/small_file.h"

namespace jump {
namespace {

constexpr mode_t kOthersMayUse = 077;

void read_public_half(ByteView text, KeyFile* file) {
  file->public_key = public_half_of(text);
  if (file->public_key) return;
  Result<SmallFile> beside = read_small_file(file->path + ".pub", kMaxKeyFileBytes);
  if (!beside) return;
  Result<PublicKey> key = parse_public_key_file(beside->content.text());
  if (key.ok()) file->public_key = std::move(key).value();
}

bool is_exposed(const SmallFile& file) { return file.owner == getuid() && (file.mode & kOthersMayUse) != 0; }

Error exposed_error(const std::string& path, mode_t mode) {
  return Error{Errc::kInvalid, fmt::format("permissions {:04o} are too open", mode & 07777),
               fmt::format("chmod 600 {}", display_path(path))};
}

}  // namespace

Result<PrivateKey> parse_private_key(ByteView text, const Secret& passphrase) {
  if (is_openssh_key(text)) return parse_openssh_key(text, passphrase);
  if (passphrase.empty() && is_encrypted_key(text)) return passphrase_needed();
  return PrivateKey::from_pem(text, passphrase);
}

bool is_encrypted_key(ByteView text) {
  if (is_openssh_key(text)) return is_encrypted_openssh_key(text);
  std::string_view pem = as_text(text);
  return pem.find("-----BEGIN ENCRYPTED PRIVATE KEY-----") != std::string_view::npos ||
         pem.find("Proc-Type: 4,ENCRYPTED") != std::string_view::npos;
}

std::optional<PublicKey> public_half_of(ByteView text) { return public_half_of_openssh_key(text); }

KeyFile load_key_file(const std::string& path) {
  KeyFile file;
  file.path = path;
  Result<SmallFile> read = read_small_file(path, kMaxKeyFileBytes);
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
  const bool encrypted = is_encrypted_key(text);
  const bool exposed = is_exposed(*read);
  Result<PrivateKey> key = parse_private_key(text);
  if (key.ok() && !exposed) {
    file.public_key = key->public_key();
    file.private_key = std::move(key).value();
    return file;
  }
  read_public_half(text, &file);
  if (key.ok() && !file.public_key) file.public_key = key->public_key();
  if (exposed && (key.ok() || encrypted)) {
    file.problem = exposed_error(path, read->mode);
  } else if (encrypted && key.error().code == Errc::kAuth) {
    file.encrypted = true;
  } else {
    file.problem = key.error();
  }
  return file;
}

Result<PrivateKey> unlock_key_file(const std::string& path, const Secret& passphrase) {
  Result<SmallFile> read = read_small_file(path, kMaxKeyFileBytes);
  if (!read) return read.error();
  if (is_exposed(*read)) return exposed_error(path, read->mode);
  return parse_private_key(read->content.view(), passphrase);
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
