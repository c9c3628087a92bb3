// Does the host column of a known_hosts line mean this host? (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".)
// Three answers, because a hashed name that cannot be decoded makes its line a broken one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace jump {

enum class HostMatch { kNo, kYes, kBroken };

// `name` in lower case, as known_hosts_name() makes it. `column` is a list of patterns
// ("*.example.org,!bad.example.org",
// "[10.0.0.5]:2222") or one hashed name ("|1|SALT|HASH").
HostMatch match_host_column(std::string_view name, std::string_view column);

// What known_hosts calls a host: lower case, and "[host]:port" unless the port is 22.
std::string known_hosts_name(std::string_view host, std::uint16_t port);

}  // namespace jump
