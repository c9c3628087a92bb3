// PeerOpen: what the peer asks for when it opens a channel (CHANNEL_OPEN): the type, and what belongs to it.
// A value; the text in it is the peer's, unchecked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/bytes.h"

namespace jump {

// RFC 4254 section 7.2: somebody has connected to a port that the server listens on for us.
struct ForwardedTcpip {
  static constexpr std::string_view kType = "forwarded-tcpip";

  std::string address;  // where the server listens, mostly as it was asked for
  std::uint16_t port = 0;
  std::string origin_address;     // who connected; informative
  std::uint16_t origin_port = 0;  // 0: the server told nonsense
};

// OpenSSH PROTOCOL section 2.4: the same for a Unix socket.
struct ForwardedStreamlocal {
  static constexpr std::string_view kType = "forwarded-streamlocal@openssh.com";

  std::string path;
};

struct PeerOpen {
  std::string type;
  std::variant<Bytes, ForwardedTcpip, ForwardedStreamlocal> specific;  // Bytes: of any other type, as it came

  // `specific` is what follows the maximum packet size. Null: not what a channel of that type has.
  static std::optional<PeerOpen> parse(std::string_view type, ByteView specific);
  // What parse() took, to be passed on.
  Bytes encode() const;
  // For messages, printable: "localhost:8080 from 10.0.0.7:51234", "/run/app.sock", "x11".
  std::string describe() const;
};

}  // namespace jump
