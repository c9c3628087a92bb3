// A private key that can sign for SSH: Ed25519, ECDSA on the three NIST curves, RSA. OpenSSL holds the secret
// and wipes it when the object goes. Invariant: public_key() belongs to the secret (checked when it is made).
#pragma once

#include <memory>
#include <string_view>

#include "auth/public_key.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/wire.h"

namespace jump {

class PrivateKey {
 public:
  // The private fields of an unencrypted openssh-key-v1 container: type, numbers and comment (OpenSSH,
  // PROTOCOL.key), as ssh-agent has them too. Leaves `in` behind the comment. Errors: kInvalid, kUnsupported
  // (type).
  static Result<PrivateKey> from_wire(WireReader& in);
  // PEM (PKCS#1, SEC1) or PKCS#8 text. `passphrase` is not looked at where none is needed. Slow when
  // encrypted: for pool threads. Errors: kInvalid, kUnsupported (type, cipher), kAuth (it needs a passphrase,
  // or another one).
  static Result<PrivateKey> from_pem(ByteView text, const jump::Secret& passphrase);

  PrivateKey(PrivateKey&&) noexcept;
  PrivateKey& operator=(PrivateKey&&) noexcept;
  ~PrivateKey();

  const PublicKey& public_key() const { return public_; }

  // The signature blob of RFC 4253 section 6.6: string algorithm, string signature. `algorithm` is the key's
  // type, or for RSA "rsa-sha2-512" or "rsa-sha2-256"; SHA-1 only by the name "ssh-rsa". May be called from
  // any thread, from several at a time. Errors: kInvalid (not an algorithm of this key), kInternal (OpenSSL).
  Result<Bytes> sign(std::string_view algorithm, ByteView data) const;

 private:
  struct Secret;  // OpenSSL's key
  PrivateKey(std::unique_ptr<Secret> secret, PublicKey key);
  static Result<PrivateKey> from_secret(std::unique_ptr<Secret> secret, std::string comment);

  std::unique_ptr<Secret> secret_;
  PublicKey public_;
};

}  // namespace jump
