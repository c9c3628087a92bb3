// HopReport: how far a Hop came and what it met on the way, for whoever has to explain it. A value; what was
// not reached is empty.
#pragma once

#include <optional>
#include <string>

#include "auth/login_report.h"
#include "transport/transport.h"

namespace jump {

struct HopReport {
  std::string peer;                  // what it is connected to: "prod.example.org (10.0.0.5:22)"
  std::string server_version;        // "SSH-2.0-OpenSSH_9.2p1"
  std::string algorithms;            // agreed on
  std::optional<HostKey> host_key;   // shown, and proved to be the server's
  std::string host_key_line;         // "FILE:LINE" of known_hosts, if it stood there when the hop began
  std::string host_key_unrecorded;   // accepted, but its file could not be written: why
  std::optional<LoginReport> login;  // once the host key was accepted
};

}  // namespace jump
