// Verifies signatures that servers make with their host keys outside of the key exchange: the proofs of
// hostkeys-prove-00@openssh.com. Ed25519, ECDSA on the three NIST curves, RSA with SHA-2.
#pragma once

#include "auth/public_key.h"
#include "base/bytes.h"
#include "base/result.h"

namespace jump {

// `signature` is a blob of RFC 4253 section 6.6: string algorithm, string signature. Errors: kInvalid (no
// signature, or not that of `key` over `data`), kUnsupported (key type or algorithm, SHA-1 among them).
Status verify_host_key_signature(const PublicKey& key, ByteView signature, ByteView data);

}  // namespace jump
