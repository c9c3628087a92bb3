// Bound and listening TCP sockets for one ListenOptions::at, as `ssh -L` understands a bind address:
//   "" or "localhost"   127.0.0.1, and ::1 with the same port where that is possible
//   "*"                 every IPv4 and every IPv6 address (two sockets, IPV6_V6ONLY)
//   a literal address   that one
// Names are not looked up: that would block the loop.
#pragma once

#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "stream/io.h"

namespace jump {

// Never empty on success; all have the same port. Errors: kInUse (with the holder, if known), kInvalid,
// kRefused (privileged port), kUnreachable (not an address of this machine).
Result<std::vector<Fd>> listen_tcp(const Endpoint& at, int backlog);

// That all of them are listening TCP sockets. Errors: kInvalid.
Status check_listening_tcp(const std::vector<Fd>& sockets);

}  // namespace jump
