#include "channel/server_limits.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/wire.h"

namespace jump {
namespace {

struct Strings {
  std::string_view name;
  int count;  // that are text, at the beginning
};
constexpr std::array kStrings{Strings{"exec", 1},
                              Strings{"subsystem", 1},
                              Strings{"env", 2},
                              Strings{"pty-req", 1},
                              Strings{"signal", 1},
                              Strings{"direct-tcpip", 1},
                              Strings{"direct-streamlocal@openssh.com", 1},
                              Strings{"tcpip-forward", 1},
                              Strings{"streamlocal-forward@openssh.com", 1}};

// What a packet has beside what is specific: its type, numbers, and a short name.
constexpr std::size_t kHead = 512;

}  // namespace

Status check_request(std::string_view name, ByteView data, std::size_t max_payload) {
  const std::size_t most = std::min(kMaxRequestBytes, max_payload - std::min(max_payload, kHead));
  if (data.size() > most)
    return Error{Errc::kInvalid,
                 std::string(name) + ": " + std::to_string(data.size()) + " bytes, and " +
                     std::to_string(most) + " at most can be sent to this server",
                 most < kMaxRequestBytes
                     ? "send it by stdin, or put Ciphers aes128-gcm@openssh.com into ssh_config"
                     : "send it by stdin"};
  for (const Strings& each : kStrings) {
    if (each.name != name) continue;
    WireReader in(data);
    for (int i = 0; i < each.count; ++i) {
      if (in.text().find('\0') != std::string_view::npos)
        return Error{Errc::kInvalid, std::string(name) + ": it has a zero byte, which no server takes", {}};
    }
  }
  return {};
}

}  // namespace jump
