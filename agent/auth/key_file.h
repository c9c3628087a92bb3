// An IdentityFile as text or on disk: a private key in OpenSSH's own format (openssh-key-v1), PEM or PKCS#8,
// or only a public key, which then selects a key of the agent. An encrypted file tells its public half where
// the format has it in clear, or FILE.pub does; unlock_key_file() gives the rest for its passphrase.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "auth/private_key.h"
#include "auth/public_key.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace jump {

inline constexpr std::size_t kMaxKeyFileBytes = 1024 * 1024;  // OpenSSH's MAX_KEY_FILE_SIZE

// Parses a private key file's content. `passphrase` is not looked at where none is needed. Slow when
// encrypted: for pool threads. Errors: kInvalid (not a key, or a broken one), kUnsupported (its type or
// cipher), kLimit, kAuth (it needs a passphrase, or another one). Messages do not name the file: the caller
// does.
Result<PrivateKey> parse_private_key(ByteView text, const Secret& passphrase = Secret());

// Whether parse_private_key() would need a passphrase.
bool is_encrypted_key(ByteView text);

// The public half of an openssh-key-v1 file, which is in clear even if the file is encrypted.
std::optional<PublicKey> public_half_of(ByteView text);

// One IdentityFile, as far as it could be read. Unless it is missing, it has a `private_key`, or is
// `encrypted`, or has a `problem`, or is a public key alone.
struct KeyFile {
  std::string path;
  bool missing = false;
  bool encrypted = false;
  std::optional<PublicKey> public_key;
  std::optional<PrivateKey> private_key;
  std::optional<Error> problem;  // why there is no private key
};

// Reads `path`, and for the public half `path`.pub where needed, as ssh does. Blocks: for a pool thread.
// A private key that others may read is refused (own files only, as ssh: a mode with group or other bits).
KeyFile load_key_file(const std::string& path);

// Reads an encrypted file again. Blocks, for a pool thread. Errors as parse_private_key(), or of reading.
Result<PrivateKey> unlock_key_file(const std::string& path, const Secret& passphrase);

// The path as a person writes it: "~/.ssh/id_ed25519".
std::string display_path(std::string_view path);

}  // namespace jump
