#include "auth/fingerprint.h"

#include <openssl/sha.h>

#include "auth/base64.h"

namespace jump {

std::string fingerprint(ByteView public_key_blob) {
  std::uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(public_key_blob.data(), public_key_blob.size(), digest);
  std::string text = "SHA256:" + base64_encode(digest);
  while (text.back() == '=') text.pop_back();
  return text;
}

}  // namespace jump
