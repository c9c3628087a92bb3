// The server's SSH_MSG_KEXINIT (RFC 4253 section 7.1): its lists of algorithms, and what ours and theirs come
// to. libssh2 negotiates too, by the same rule, but says neither what was missing nor minds what would break
// it:
//   * it takes "must see the whole packet first" from the incoming cipher for outgoing packets, so both
//   directions
//     have to use the same cipher;
//   * in a re-exchange it changes methods at once but keys only later, so a server that then agrees on other
//     methods would have it run one cipher's code on another cipher's state.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "transport/algorithms.h"

namespace jump {

// What one key exchange settles on.
struct Agreement {
  std::string cipher;
  std::string mac_out;  // empty with an AEAD cipher
  std::string mac_in;
  bool operator==(const Agreement&) const = default;
};

// payload: the message, its number (20) included. Errors: kProtocol when malformed, kUnsupported when some
// kind of algorithm has no common name or the two directions' ciphers differ.
Result<Agreement> negotiate(const Algorithms& ours, ByteView payload);

}  // namespace jump
