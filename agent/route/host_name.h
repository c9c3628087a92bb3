// What a user may write where a HOST is wanted: [user@]host[:port], with IPv6 addresses in brackets, the same
// as ssh://…, or an alias of ssh_config. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace jump {

struct HostName {
  std::string user;  // empty: not given
  std::string host;  // alias, name or address, without brackets
  std::optional<std::uint16_t> port;

  static constexpr std::size_t kMaxLength = 512;  // a DNS name has 255 bytes; the rest is for user and port

  // Errors: kInvalid, for what could never be a host, and for what `ssh` might take for an option.
  static Result<HostName> parse(std::string_view text);
};

}  // namespace jump
