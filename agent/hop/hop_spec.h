// What it takes to reach and log in to one SSH server: the answer of `ssh -G` in our own terms. A value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace jump {

struct HopSpec {
  std::string alias;        // what the user called it: "prod"
  std::string ssh_command;  // how the user would reach it with ssh, for hints: "ssh -F FILE prod"
  std::string host;         // HostName
  std::uint16_t port = 22;
  std::string user;
  std::string host_key_alias;                  // HostKeyAlias; empty: the host itself
  std::vector<std::string> known_hosts_files;  // UserKnownHostsFile then GlobalKnownHostsFile, ~ expanded
  std::vector<std::string> identity_files;     // IdentityFile, in order, ~ expanded; some may not exist
  bool identities_only = false;                // IdentitiesOnly
  std::string identity_agent;                  // socket path; empty: no agent
  Duration connect_timeout = seconds(30);      // ConnectTimeout: dial and key exchange together
  Duration alive_interval = Duration::zero();  // ServerAliveInterval; zero: our default
  int alive_count_max = 3;                     // ServerAliveCountMax
  std::string ciphers, kex_algorithms, host_key_algorithms, macs;  // empty: ours

  // What known_hosts is asked for: HostKeyAlias, which stands for name and port, else the host and its port.
  const std::string& known_hosts_name() const { return host_key_alias.empty() ? host : host_key_alias; }
  std::uint16_t known_hosts_port() const { return host_key_alias.empty() ? port : std::uint16_t{22}; }
  // "deploy@10.0.0.5:22"
  std::string address() const;
  // "prod (deploy@10.0.0.5:22)" for messages.
  std::string describe() const;
};

}  // namespace jump
