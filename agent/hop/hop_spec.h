// What it takes to reach and log in to one SSH server: the answer of `ssh -G` in our own terms. A value.
// Names and meanings are ssh_config(5)'s; what ssh leaves to the user to choose is empty where the user chose
// nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "auth/host_key_rules.h"
#include "base/clock.h"
#include "stream/io.h"

namespace jump {

struct HopSpec {
  std::string alias;        // what the user called it: "prod"
  std::string ssh_command;  // how the user would reach it with ssh, for hints: "ssh -F FILE prod"
  // How the agent is told to, "jumpctl connect prod"; empty: there is no name for it alone (b of ProxyJump
  // a,b).
  std::string connect_command;
  std::string host;  // HostName
  std::uint16_t port = 22;
  std::string user;
  std::string connection_hash;  // %C, as ssh itself computes it; empty: not known

  // --- the way there ---
  std::string proxy_jump;     // ProxyJump, tokens expanded: "a,me@b:22"; empty: none
  std::string proxy_command;  // ProxyCommand, tokens expanded; empty: none
  AddressFamily address_family = AddressFamily::kAny;
  std::string bind_address, bind_interface;
  int connection_attempts = 1;
  bool tcp_keep_alive = true;
  std::optional<int> traffic_class;            // IPQoS, where the user chose it: the TOS byte
  Duration connect_timeout = seconds(30);      // ConnectTimeout: dial and key exchange together
  Duration alive_interval = Duration::zero();  // ServerAliveInterval; zero: our default
  int alive_count_max = 3;                     // ServerAliveCountMax
  std::string ciphers, kex_algorithms, host_key_algorithms, macs;  // empty: ours

  // --- the server's key ---
  std::string host_key_alias;                  // HostKeyAlias; empty: the host itself
  std::vector<std::string> known_hosts_files;  // UserKnownHostsFile then GlobalKnownHostsFile, ~ expanded
  std::size_t user_known_hosts_files = 0;      // how many of them are the user's own: where new keys may go
  StrictHostKeyChecking strict_host_key_checking = StrictHostKeyChecking::kAsk;
  bool hash_known_hosts = false;
  UpdateHostKeys update_host_keys = UpdateHostKeys::kYes;
  std::string revoked_host_keys;  // path; empty: none

  // --- login ---
  std::vector<std::string> identity_files;     // IdentityFile, in order, ~ expanded; some may not exist
  std::vector<std::string> certificate_files;  // CertificateFile, the same
  bool identities_only = false;                // IdentitiesOnly
  std::string identity_agent;                  // socket path; empty: no agent
  std::vector<std::string> preferred_authentications;  // PreferredAuthentications; empty: ssh's own order
  bool pubkey_authentication = true;
  bool password_authentication = true;
  bool kbd_interactive_authentication = true;
  int number_of_password_prompts = 3;
  bool batch_mode = false;                 // BatchMode: nobody is to be asked
  std::string pubkey_accepted_algorithms;  // empty: ours

  // --- sessions and forwards: wishes that are kept for those who open them ---
  std::string forward_agent;    // ForwardAgent: "yes", a path, "$NAME"; empty: no
  std::string forwarded_agent;  // IdentityAgent for that: none, a path, "$NAME"; empty: SSH_AUTH_SOCK
  std::string request_tty;      // RequestTTY: auto, no, yes, force
  std::string remote_command;   // RemoteCommand, as ssh prints it; empty: none
  std::string session_type;     // SessionType: default, none, subsystem
  bool stdin_null = false;      // StdinNull
  bool fork_after_authentication = false;     // ForkAfterAuthentication
  std::string escape_char = "~";              // EscapeChar; empty: none
  std::vector<std::string> send_env;          // SendEnv: patterns of names
  std::vector<std::string> set_env;           // SetEnv: "NAME=VALUE"
  std::vector<std::string> offered_forwards;  // LocalForward, …, as ssh's options say: "-L 8080:[svc]:80"

  // What ssh_config says and we do not do, a line for a person each.
  std::vector<std::string> ignored;

  // What known_hosts is asked for: HostKeyAlias, which stands for name and port, else the host and its port.
  const std::string& known_hosts_name() const { return host_key_alias.empty() ? host : host_key_alias; }
  std::uint16_t known_hosts_port() const { return host_key_alias.empty() ? port : std::uint16_t{22}; }
  // "deploy@10.0.0.5:22"
  std::string address() const;
  // "prod (deploy@10.0.0.5:22)" for messages.
  std::string describe() const;

  bool operator==(const HopSpec&) const = default;
  // Whether one connection can serve both: all is the same but what the user called them, and `proxy_jump`,
  // as the way there is compared hop by hop.
  bool same_connection(const HopSpec& other) const;
};

}  // namespace jump
