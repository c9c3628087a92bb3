#include "config/destination_pattern.h"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "auth/host_pattern.h"
#include "base/printable.h"

namespace jump {
namespace {

constexpr const char* kHint =
    "write a name with wildcards (\"*.prod.example\"), an address, or a network (\"10.20.0.0/16\"), each "
    "with "
    ":port if need be; IPv6 with a port goes in brackets";

Error wrong(std::string_view text, const std::string& why) {
  return Error{Errc::kInvalid, fmt::format("'{}' is not a destination: {}", printable(text, 64), why), kHint};
}

bool number(std::string_view text, unsigned most, unsigned* out) {
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return failed == std::errc() && end == text.data() + text.size() && !text.empty() && *out <= most;
}

// Clears what lies beyond the mask; true when there was something.
bool clear_host_bits(IpNetwork& network) {
  bool cleared = false;
  for (unsigned bit = network.bits; bit < (network.v6 ? 128u : 32u); ++bit) {
    const auto mask = static_cast<std::uint8_t>(0x80u >> (bit % 8));
    std::uint8_t& byte = network.address.at(bit / 8);
    cleared = cleared || (byte & mask) != 0;
    byte = static_cast<std::uint8_t>(byte & ~mask);
  }
  return cleared;
}

std::string to_string(const IpNetwork& network) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(network.v6 ? AF_INET6 : AF_INET, network.address.data(), text, sizeof text);
  return fmt::format("{}/{}", text, network.bits);
}

// A host's name, or an address in its usual spelling, which is what globs are compared with.
std::string plain_name(const std::string& host) {
  std::string name = known_hosts_name(host, 0);
  if (name.ends_with('.')) name.pop_back();
  return name;
}

}  // namespace

std::optional<IpNetwork> IpNetwork::of_address(const std::string& text) {
  IpNetwork network;
  if (inet_pton(AF_INET, text.c_str(), network.address.data()) == 1) {
    network.bits = 32;
    return network;
  }
  network.v6 = true;
  network.bits = 128;
  if (inet_pton(AF_INET6, text.c_str(), network.address.data()) == 1) return network;
  return std::nullopt;
}

bool IpNetwork::contains(const IpNetwork& host) const {
  if (v6 != host.v6) return false;
  IpNetwork other = host;
  other.bits = bits;
  clear_host_bits(other);
  return other.address == address;
}

Result<DestinationPattern> DestinationPattern::parse(std::string_view text) {
  DestinationPattern pattern;
  pattern.text_ = std::string(text);
  if (text.size() > kMaxLength) return wrong(text, "it is longer than any name");
  std::string_view rest = text;
  if (rest.starts_with('!')) {
    pattern.negated_ = true;
    rest.remove_prefix(1);
  }
  std::string_view host = rest, ports;
  if (rest.starts_with('[')) {
    const std::size_t end = rest.find(']');
    if (end == std::string_view::npos) return wrong(text, "the bracket is not closed");
    host = rest.substr(1, end - 1);
    ports = rest.substr(end + 1);
    if (!ports.empty() && !ports.starts_with(':')) return wrong(text, "only ':port' may follow the bracket");
  } else if (const std::size_t colon = rest.find(':');
             colon != std::string_view::npos && colon == rest.rfind(':')) {
    host = rest.substr(0, colon);
    ports = rest.substr(colon);
  }
  if (Status parsed = pattern.parse_host(std::string(host)); !parsed)
    return wrong(text, parsed.error().message);
  if (ports.empty()) return pattern;
  if (Status parsed = pattern.parse_ports(ports.substr(1)); !parsed)
    return wrong(text, parsed.error().message);
  return pattern;
}

Status DestinationPattern::parse_host(const std::string& host) {
  const auto fail = [](std::string why) { return Error{Errc::kInvalid, std::move(why), {}}; };
  if (host.empty()) return fail("the host is empty");
  if (host.find(',') != std::string::npos) return fail("it has a comma: each pattern is a string of its own");
  const bool odd = std::any_of(host.begin(), host.end(), [](char c) {
    return c <= ' ' || c == 0x7f || std::string_view("!|[]").find(c) != std::string_view::npos;
  });
  if (odd) return fail("it has a character that no host's name has");
  const std::size_t slash = host.find('/');
  network_ = IpNetwork::of_address(host.substr(0, slash));
  if (slash == std::string::npos) {
    const bool wild = host.find_first_of("*?") != std::string::npos;
    if (!network_ && !wild && host.find(':') != std::string::npos) return fail("it is not an IPv6 address");
    glob_ = plain_name(host);
    return glob_.empty() ? Status(fail("the host is empty")) : Status();
  }
  if (!network_) return fail("only an address has a /mask");
  if (!number(std::string_view(host).substr(slash + 1), network_->bits, &network_->bits)) {
    return fail(fmt::format("the mask is a number from 0 to {}", network_->v6 ? 128 : 32));
  }
  if (clear_host_bits(*network_)) return fail("the network that it lies in is " + to_string(*network_));
  return {};
}

Status DestinationPattern::parse_ports(std::string_view ports) {
  if (ports == "*") return {};
  const std::size_t dash = ports.find('-');
  unsigned low = 0, high = 0;
  bool good = number(ports.substr(0, dash), 65535, &low);
  high = low;
  if (dash != std::string_view::npos) good = good && number(ports.substr(dash + 1), 65535, &high);
  if (!good || low == 0 || low > high) {
    return Error{
        Errc::kInvalid, "the port is a number from 1 to 65535, two of them as in 8000-8999, or *", {}};
  }
  port_min_ = static_cast<std::uint16_t>(low);
  port_max_ = static_cast<std::uint16_t>(high);
  return {};
}

bool DestinationPattern::matches(const Endpoint& target) const {
  if (target.is_unix() || target.port < port_min_ || target.port > port_max_) return false;
  if (!network_) return match_host_column(plain_name(target.host), glob_) == HostMatch::kYes;
  const auto address = IpNetwork::of_address(target.host);
  return address && network_->contains(*address);
}

}  // namespace jump
