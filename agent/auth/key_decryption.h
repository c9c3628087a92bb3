// Decrypts what openssh-key-v1 files keep private, with the ciphers that ssh-keygen -Z offers, over OpenSSL.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace jump {

struct KeyCipher {
  std::string_view name;  // as SSH calls it
  const char* evp;        // as OpenSSL does
  std::size_t key_size, iv_size;
  std::size_t tag_size;  // 0: nothing but the content itself tells a wrong key
  std::size_t block_size;
};

const KeyCipher* find_key_cipher(std::string_view name);  // nullptr: not one of ours

// `material`: the cipher's key, then its IV. Errors: kAuth (a wrong passphrase, or changed data), kInvalid
// (sizes), kUnsupported (OpenSSL does not have it).
Result<Secret> decrypt_key(const KeyCipher& cipher, ByteView material, ByteView encrypted, ByteView tag);

// Both of code kAuth.
Error wrong_passphrase();
Error passphrase_needed();

}  // namespace jump
