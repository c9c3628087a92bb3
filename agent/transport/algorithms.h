// Which algorithms we offer: our defaults, or what the user's ssh_config says, reduced to what libssh2 can
// do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace jump {

// Comma-separated names of one kind each, in order of preference.
struct Algorithms {
  std::string kex;
  std::string host_key;
  std::string cipher;
  std::string mac;
};

// Our own preferences. Old ciphers (CBC, RC4, 3DES, Blowfish, CAST), SHA-1 and MD5 are not among them; a user
// who needs one names it.
Algorithms default_algorithms(bool cpu_has_aes);
// Whether this CPU encrypts AES in hardware: then AES-GCM is about three times as fast as ChaCha20-Poly1305,
// without it several times slower (and table look-ups leak timing).
bool cpu_has_aes();

// The names of `wanted` that are also in `supported`, in the order of `wanted`. kUnsupported when none is
// left; `kind` ("cipher") is for that message.
Result<std::string> offer(std::string_view kind, std::string_view wanted,
                          const std::vector<std::string>& supported);

// Whether the cipher does a MAC's work itself.
bool authenticates(std::string_view cipher);

std::vector<std::string_view> split_names(std::string_view list);
bool contains_name(std::string_view list, std::string_view name);
// RFC 4253 7.1: the first name of ours that is in theirs too; empty when there is none.
std::string_view agree(std::string_view ours, std::string_view theirs);

}  // namespace jump
