// What it takes to reach and log in to one SSH server: the answer of `ssh -G` in our own terms. A value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace jump {

struct HopSpec {
  std::string alias;           // what the user called it: "prod"
  std::string host;            // HostName
  std::uint16_t port = 22;
  std::string user;
  std::string host_key_alias;  // HostKeyAlias; empty: the host itself
  std::vector<std::string> known_hosts_files;         // UserKnownHostsFile then GlobalKnownHostsFile, ~ expanded
  std::vector<std::string> identity_files;            // IdentityFile, in order, ~ expanded; some may not exist
  bool identities_only = false;                       // IdentitiesOnly
  std::string identity_agent;                         // socket path; empty: no agent
  Duration connect_timeout = seconds(30);             // dial and login together, without a person
  Duration alive_interval = Duration::zero();         // ServerAliveInterval; zero: our default
  int alive_count_max = 3;                            // ServerAliveCountMax
  std::string ciphers, kex_algorithms, host_key_algorithms, macs;  // empty: ours

  // Two specs with the same key may share one connection.
  std::string sharing_key() const { return user + "@" + host + ":" + std::to_string(port) + "#" + host_key_alias; }
  // "prod (deploy@10.0.0.5:22)" for messages.
  std::string describe() const;
};

}  // namespace jump
