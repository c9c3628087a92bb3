// A key file may hold anything. What is taken for a key has a well-formed public half, and can be asked to
// sign.
#include <cstdlib>

#include "auth/key_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace jump;
  ByteView text(data, size);
  (void)is_encrypted_key(text);
  (void)public_half_of(text);
  (void)parse_public_key_file(as_text(text));
  Result<PrivateKey> key = parse_private_key(text);
  if (!key) return 0;
  if (!parse_public_key_blob(key->public_key().blob)) std::abort();
  std::string algorithm = key->public_key().type == "ssh-rsa" ? "rsa-sha2-256" : key->public_key().type;
  (void)key->sign(algorithm, as_bytes("data"));
  return 0;
}
