// What `ssh -L` takes, parsed. Pure.
//   [bind:]port:host:port   [bind:]port:/remote/path   /local/path:host:port   /local/path:/remote/path
// As in ssh: a field with a '/' is the path of a Unix socket; '[…]' takes a field literally (IPv6 addresses);
// a backslash takes the next character literally; no bind address is loopback, an empty one or "*" is every
// interface; ports may be service names. Unlike ssh, listen port 0 is allowed: the system chooses.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace jump::proto {

// Either host and port, or path.
struct ForwardEnd {
  std::string host;  // listening: empty is loopback (both address families), "*" is every interface
  std::uint16_t port = 0;
  std::string path;

  bool is_unix() const { return !path.empty(); }
  std::string to_string() const;  // "host:port", "[v6]:port", "/path"; "8080" when the host is empty
  bool operator==(const ForwardEnd&) const = default;
};

struct ForwardSpec {
  ForwardEnd listen;
  ForwardEnd target;

  // Canonical: equal specs have equal texts, and parsing the text gives the spec again.
  std::string to_string() const;
  bool operator==(const ForwardSpec&) const = default;
};

// A TCP service's port by name, as getservbyname() has it.
using ServicePort = std::function<std::optional<std::uint16_t>(const std::string& name)>;
std::optional<std::uint16_t> system_service_port(const std::string& name);

// Errors: kInvalid, which says what is wrong, with the right form as the hint.
Result<ForwardSpec> parse_forward_spec(std::string_view text,
                                       const ServicePort& services = system_service_port);

}  // namespace jump::proto
