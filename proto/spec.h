// What `ssh -L`, `-R` and `-D` take, parsed. Pure.
//   local, remote    [bind:]port:host:port   [bind:]port:/path   /path:host:port   /path:/path
//   dynamic          [bind:]port   /path          also of remote: then it is remote-dynamic
// What comes first is where to listen: here, or on the server for the remote kinds; what follows is reached
// from the other end. As in ssh: a field with a '/' is the path of a Unix socket; '[…]' takes a field
// literally (IPv6 addresses); a backslash takes the next character literally; no bind address is loopback, an
// empty one or "*" is every interface; ports may be service names. Unlike ssh, listen port 0 is allowed for
// all kinds (it is chosen then), and ports may be ranges: 8000-8010:svc:9000-9010 is eleven forwards.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

enum class ForwardKind { kLocal, kRemote, kDynamic, kRemoteDynamic };
// "local", "remote", "dynamic", "remote-dynamic": stable, part of the control protocol.
const char* forward_kind_name(ForwardKind kind);
std::optional<ForwardKind> forward_kind_of(std::string_view name);

struct ForwardSpec {
  ForwardKind kind = ForwardKind::kLocal;
  ForwardEnd listen;
  std::optional<ForwardEnd> target;  // none: each client names its own (the dynamic kinds)

  // Canonical: equal specs have equal texts, and parsing the text for the same kind gives the spec again.
  std::string to_string() const;
  bool operator==(const ForwardSpec&) const = default;
};

// A TCP service's port by name, as getservbyname() has it.
using ServicePort = std::function<std::optional<std::uint16_t>(const std::string& name)>;
std::optional<std::uint16_t> system_service_port(const std::string& name);

// Forwards that one range may stand for: a typo must not open thousands.
inline constexpr std::size_t kMaxPortRange = 1000;

// One, or as many as the range of ports has; never empty. kRemote may give kRemoteDynamic, the others give what
// was asked for. Errors: kInvalid, which says what is wrong, with the right form as the hint.
Result<std::vector<ForwardSpec>> parse_forward_specs(ForwardKind kind, std::string_view text,
                                                     const ServicePort& services = system_service_port);

}  // namespace jump::proto
