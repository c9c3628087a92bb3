// A user certificate (OpenSSH's PROTOCOL.certkeys): a public key with a name, a lifetime and an issuer's
// signature. Only the server verifies that signature; what is read here decides whether offering it can be of
// any use.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

#include "auth/public_key.h"
#include "base/bytes.h"
#include "base/result.h"

namespace jump {

struct Certificate {
  enum class Kind : std::uint32_t { kUser = 1, kHost = 2 };

  Bytes blob;        // as it is offered
  std::string type;  // "ssh-ed25519-cert-v01@openssh.com"
  PublicKey key;     // that it is about, plain
  Kind kind = Kind::kUser;
  std::string key_id;                   // its issuer's name for it; may hold anything
  std::vector<std::string> principals;  // users it is for; may hold anything
  std::uint64_t valid_after = 0;        // seconds since 1970
  std::uint64_t valid_before = 0;       // the first second in which it no longer holds
};

// Errors: kInvalid, kUnsupported (type).
Result<Certificate> parse_certificate(ByteView blob);

// Why no server can accept it for a login at that time: "expired 2024-05-01 12:00 UTC"; empty: one may.
std::string certificate_problem(const Certificate& certificate, std::time_t now);

// Why a server will hardly accept it for that user: "it is for alice, not for bob"; empty: it names the user.
// A server may have its own idea (AuthorizedPrincipalsFile).
std::string principal_doubt(const Certificate& certificate, const std::string& user);

// A CertificateFile. Blocks: for a pool thread. Errors: kNotFound, others of reading and of parsing.
Result<Certificate> load_certificate(const std::string& path);

}  // namespace jump
