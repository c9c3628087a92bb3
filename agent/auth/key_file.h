// An IdentityFile as text or on disk: a private key in OpenSSH's own format (openssh-key-v1), PEM or PKCS#8,
// or only a public key, which then selects a key of the agent. Passphrases are not asked for yet: an
// encrypted file still tells its public half where the format has it in clear.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "auth/private_key.h"
#include "auth/public_key.h"
#include "base/bytes.h"
#include "base/result.h"

namespace jump {

// Parses a private key file's content. Errors: kInvalid (not a key, or a broken one), kUnsupported (its type,
// or a passphrase: is_encrypted_key() tells). Messages do not name the file: the caller does.
Result<PrivateKey> parse_private_key(ByteView text);

// Whether parse_private_key() would need a passphrase.
bool is_encrypted_key(ByteView text);

// The public half of an openssh-key-v1 file, which is in clear even if the file is encrypted.
std::optional<PublicKey> public_half_of(ByteView text);

// One IdentityFile, as far as it could be read. At least one of `key` and `problem` is set unless it is
// missing.
struct KeyFile {
  std::string path;
  bool missing = false;
  std::optional<PublicKey> public_key;
  std::optional<PrivateKey> private_key;
  std::optional<Error> problem;  // why there is no private key; none if the file is a public key
};

// Reads `path`, and for the public half `path`.pub where needed, as ssh does. Blocks: for a pool thread.
// A private key that others may read is refused (own files only, as ssh: a mode with group or other bits).
KeyFile load_key_file(const std::string& path);

// The path as a person writes it: "~/.ssh/id_ed25519".
std::string display_path(std::string_view path);

}  // namespace jump
