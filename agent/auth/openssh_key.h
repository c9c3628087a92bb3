// A private key file in OpenSSH's own format (openssh-key-v1: OpenSSH's PROTOCOL.key), encrypted or not. Text
// in, key out; its public half is in clear either way.
#pragma once

#include <optional>
#include <string_view>

#include "auth/private_key.h"
#include "auth/public_key.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace jump {

// More rounds of its key derivation than this are refused: they would keep a thread busy for minutes.
// ssh-keygen makes 16 or 24 unless it is told otherwise.
inline constexpr std::uint32_t kMaxKdfRounds = 10'000;

bool is_openssh_key(ByteView text);
bool is_encrypted_openssh_key(ByteView text);
std::optional<PublicKey> public_half_of_openssh_key(ByteView text);

// `passphrase` is not looked at where none is needed. Slow with an encrypted key: for pool threads. Errors:
// kInvalid, kUnsupported (type, cipher), kLimit (rounds), kAuth (it needs a passphrase, or another one).
Result<PrivateKey> parse_openssh_key(ByteView text, const Secret& passphrase);

}  // namespace jump
