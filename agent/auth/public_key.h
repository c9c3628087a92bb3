// A public key: an SSH wire blob (RFC 4253 section 6.6, RFC 5656, RFC 8709) with its type, from a blob or
// from a line of text as known_hosts and *.pub files have it. What is accepted is what OpenSSH accepts;
// invariant: `blob` is well formed, of type `type`, and in its one canonical encoding, so that equal keys
// have equal blobs.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace jump {

struct PublicKey {
  std::string type;  // "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com", …
  Bytes blob;
  std::string comment;

  std::string fingerprint() const;
};

// Checks the blob's inside: curve, point, sizes (RSA: 1024 to 16384 bits), no bytes left over. Certificates
// ("…-cert-v01@openssh.com") pass by their type's name only, as only their issuer's signature would tell.
Result<PublicKey> parse_public_key_blob(ByteView blob);

// "TYPE BASE64 [comment]". As ssh has it, the type may be an algorithm that keys of that type sign with.
Result<PublicKey> parse_public_key_line(std::string_view line);

// A *.pub file: the first line that is neither empty nor a comment.
Result<PublicKey> parse_public_key_file(std::string_view text);

// The type of key that makes signatures of this algorithm: "rsa-sha2-512" → "ssh-rsa". Others: themselves.
std::string_view key_type_of_algorithm(std::string_view algorithm);

// The algorithm of the key inside a certificate: "rsa-sha2-512-cert-v01@openssh.com" → "rsa-sha2-512".
// Others: themselves.
std::string_view without_certificate(std::string_view algorithm);

// RFC 4251 `mpint` of a magnitude given as big-endian bytes, leading zeros dropped: its content without the
// length.
Bytes mpint_of(ByteView magnitude);

}  // namespace jump
