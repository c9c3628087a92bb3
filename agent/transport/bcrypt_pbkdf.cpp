#include "transport/bcrypt_pbkdf.h"

#include "transport/libssh2_internals.h"

// src/bcrypt_pbkdf.c of 1.11.1. Touches no session and no state of its own, so any thread may call it.
extern "C" int _libssh2_bcrypt_pbkdf(const char* pass, size_t passlen, const uint8_t* salt, size_t saltlen,
                                     uint8_t* key, size_t keylen, unsigned int rounds);

namespace jump {

Secret bcrypt_pbkdf(const Secret& passphrase, ByteView salt, std::uint32_t rounds, std::size_t size) {
  Bytes key(size);
  const std::string_view text = passphrase.text();
  if (_libssh2_bcrypt_pbkdf(text.data(), text.size(), salt.data(), salt.size(), key.data(), key.size(),
                            rounds) != 0) {
    return Secret();
  }
  return Secret(std::move(key));
}

}  // namespace jump
