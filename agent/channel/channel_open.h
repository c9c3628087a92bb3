// What a CHANNEL_OPEN asks for: the channel type and its type-specific data.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace jump {

struct ChannelOpen {
  std::string type;      // "direct-tcpip", "session", …
  Bytes specific;        // what follows the maximum packet size in CHANNEL_OPEN
  std::string describe;  // for messages: "svc:80"

  // RFC 4254 section 7.2: connect to host:port from there. The originator is only informative.
  static ChannelOpen direct_tcpip(std::string_view host, std::uint16_t port, std::string_view origin_host,
                                  std::uint16_t origin_port);
  // RFC 4254 section 6.1.
  static ChannelOpen session();
  // OpenSSH PROTOCOL section 2.4: connect to a Unix socket there.
  static ChannelOpen direct_streamlocal(std::string_view path);
};

}  // namespace jump
