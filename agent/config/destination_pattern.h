// DestinationPattern: which targets of forwards a route is for. As in ssh_config, `*` and `?` are wildcards
// over a whole name and upper case is lower case; an address or a network fits whatever spelling an address
// has.
//
//   *.prod.example   db?.example   10.20.0.0/16   2001:db8::/32   192.0.2.7
//   *.lab.example:443   *:5432   *:8000-8999   [2001:db8::7]:443   [2001:db8::/32]:443
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "stream/io.h"

namespace jump {

struct IpNetwork {
  bool v6 = false;
  std::array<std::uint8_t, 16> address{};
  unsigned bits = 0;

  bool contains(const IpNetwork& host) const;
  // "10.0.0.1" or "2001:db8::1" as a network of one address; none: it is not an address.
  static std::optional<IpNetwork> of_address(const std::string& text);
};

class DestinationPattern {
 public:
  static constexpr std::size_t kMaxLength = 512;  // a DNS name has 255 bytes

  // Errors: kInvalid.
  static Result<DestinationPattern> parse(std::string_view text);

  // A Unix socket's path is no destination of any pattern.
  bool matches(const Endpoint& target) const;
  bool negated() const { return negated_; }
  const std::string& text() const { return text_; }  // as it was written

 private:
  Status parse_host(const std::string& host);
  Status parse_ports(std::string_view ports);

  std::string text_;
  bool negated_ = false;
  std::string glob_;  // lower case; unused with a network
  std::optional<IpNetwork> network_;
  std::uint16_t port_min_ = 0, port_max_ = 65535;
};

}  // namespace jump
