// bcrypt_pbkdf: the key derivation of OpenSSH's encrypted key files, as libssh2 has it inside. Slow on
// purpose (about 5 ms per round): for pool threads.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/secret.h"

namespace jump {

// Fills `size` bytes from the passphrase. Empty: the arguments are out of bounds (no passphrase, no salt, no
// rounds, more than 1,024 bytes wanted), or there is no memory.
Secret bcrypt_pbkdf(const Secret& passphrase, ByteView salt, std::uint32_t rounds, std::size_t size);

}  // namespace jump
