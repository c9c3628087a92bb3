// RevokedKeys: the file of RevokedHostKeys, a list of public keys (a line each) or an OpenSSH key revocation
// list (PROTOCOL.krl: a binary file by `ssh-keygen -k`). Judges plain keys, as host certificates do not get
// that far here. Fails closed, as ssh does: a file that cannot be read or understood lets no key through.
// Invariant: blobs are canonical (public_key.h), so that equal keys compare equal.
#pragma once

#include <set>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace jump {

class RevokedKeys {
 public:
  // Blocks: for a pool thread. Errors name the file.
  static Result<RevokedKeys> load(const std::string& file);
  // Errors: kInvalid ("line 3: …"), kUnsupported (a part of a revocation list that must be understood and is
  // not).
  static Result<RevokedKeys> parse(ByteView content);

  bool contains(ByteView blob) const;

 private:
  Status add_list(std::string_view text);
  Status add_krl(ByteView content);
  Status add_section(std::uint8_t type, ByteView data);

  std::set<Bytes> blobs_;
  std::set<Bytes> digests_;  // SHA-1 and SHA-256 of blobs; told apart by their length
};

}  // namespace jump
