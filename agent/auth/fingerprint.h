// The name by which people compare keys: SHA-256 of the public key blob, as `ssh-keygen -l` prints it.
#pragma once

#include <string>

#include "base/bytes.h"

namespace jump {

std::string fingerprint(ByteView public_key_blob);  // "SHA256:" and unpadded base64

}  // namespace jump
