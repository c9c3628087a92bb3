// A certificate comes from a file or an agent, text to be shown from a server: both may be anything. What is
// taken for a certificate names a well-formed key; what is to be shown has no control characters but line
// ends.
#include <cstdlib>

#include "auth/certificate.h"
#include "auth/identities.h"
#include "auth/prompt_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace jump;
  const ByteView bytes(data, size);
  const std::string shown = readable_text(as_text(bytes), 4096);
  for (char c : shown) {
    if ((static_cast<unsigned char>(c) < ' ' && c != '\n') || c == 0x7f) std::abort();
  }
  if (readable_text(shown, 8192) != shown) std::abort();
  (void)accepted_algorithms("ssh-rsa-cert-v01@openssh.com", as_text(bytes));
  Result<Certificate> certificate = parse_certificate(bytes);
  if (!certificate) return 0;
  if (!parse_public_key_blob(certificate->key.blob)) std::abort();
  (void)certificate_problem(*certificate, 1'700'000'000);
  return 0;
}
