// What a user is told when a host key is not accepted: what was shown, what was expected and from which line,
// and the way out that does not weaken anything.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "auth/known_hosts.h"
#include "base/result.h"

namespace jump {

struct HostKeyQuestion {
  std::string host;  // as the user calls it: "prod"
  std::string name;  // as looked up in known_hosts: HostName or HostKeyAlias, with the port used there
  std::uint16_t port = 22;
  std::string ask_command;       // that asks for the key's confirmation: "jumpctl connect prod"
  std::string known_hosts_file;  // where ssh would add the key; may be empty
};

// `verdict` is not kKnown. Code kHostKey.
Error host_key_error(const HostKeyQuestion& question, const HostKeyVerdict& verdict, const HostKey& offered);

// The file of RevokedHostKeys has the key. `name` is what known_hosts calls the host.
Error revoked_host_key_error(const std::string& host, const std::string& name, const HostKey& offered,
                             const std::string& file);

}  // namespace jump
