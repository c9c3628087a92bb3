#include "route/host_name.h"

#include <algorithm>
#include <charconv>

namespace jump {
namespace {

Error invalid(std::string_view text, std::string_view why) {
  std::string shown;
  for (char c : text.substr(0, 128)) shown += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return Error{Errc::kInvalid, "'" + shown + "' is not a host: " + std::string(why),
               "a host is an alias of your ssh_config, or [user@]host[:port]"};
}

bool plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    auto u = static_cast<unsigned char>(c);
    return u > 0x20 && u != 0x7f && std::string_view("'\"`$\\;&<>|(){},/").find(c) == std::string_view::npos;
  });
}

}  // namespace

Result<HostName> HostName::parse(std::string_view text) {
  HostName name;
  if (text.size() > kMaxLength) return invalid(text, "it is longer than any host's name");
  std::string_view rest = text;
  if (rest.starts_with("ssh://")) {  // as for ssh, but without a path
    rest.remove_prefix(6);
    if (rest.ends_with('/')) rest.remove_suffix(1);
  }
  if (auto at = rest.rfind('@'); at != std::string_view::npos) {
    name.user = rest.substr(0, at);
    rest.remove_prefix(at + 1);
    if (name.user.empty()) return invalid(text, "the user before '@' is empty");
    if (name.user.front() == '-' || !plain(name.user))
      return invalid(text, "the user has characters that ssh refuses");
  }
  std::string_view port;
  bool has_port = false;
  if (!rest.empty() && rest.front() == '[') {
    auto end = rest.find(']');
    if (end == std::string_view::npos) return invalid(text, "the bracket is not closed");
    name.host = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    if (!rest.empty() && rest.front() != ':') return invalid(text, "only ':port' may follow the bracket");
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
  } else if (auto colon = rest.find(':'); colon != std::string_view::npos && colon == rest.rfind(':')) {
    name.host = rest.substr(0, colon);
    port = rest.substr(colon + 1);
    has_port = true;
  } else {
    name.host = rest;  // no colon, or several: an IPv6 address
  }
  if (name.host.empty()) return invalid(text, "the host is empty");
  if (name.host.front() == '-') return invalid(text, "a host does not begin with '-'");
  if (!plain(name.host)) return invalid(text, "it has characters that ssh refuses");
  if (has_port) {
    unsigned value = 0;
    auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), value);
    if (failed != std::errc() || end != port.data() + port.size() || value == 0 || value > 65535) {
      return invalid(text, "the port is a number from 1 to 65535");
    }
    name.port = static_cast<std::uint16_t>(value);
  }
  return name;
}

}  // namespace jump
