// SSH key pairs made by ssh-keygen, for users and for servers.
#pragma once

#include <string>

namespace jump::test {

enum class KeyKind { kEd25519, kEcdsa256, kRsa3072, kRsa4096 };

const char* key_kind_name(KeyKind kind);  // "ed25519", "rsa4096": letters and digits only

struct KeyPair {
  std::string private_path;  // without a passphrase; private_path + ".pub" is the public half
  std::string public_line;   // "ssh-ed25519 AAAA…", without comment
  std::string fingerprint;   // "SHA256:…", as `ssh-keygen -l` prints it
};

KeyPair generate_key(KeyKind kind, const std::string& private_path);

// A user's key of that kind, made once per process (RSA takes a second) and removed at exit.
const KeyPair& user_key(KeyKind kind);

}  // namespace jump::test
