#include "channel/server_limits.h"

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

}  // namespace

Status check_request(std::string_view name, ByteView data) {
  if (data.size() > kMaxRequestBytes)
    return Error{Errc::kInvalid,
                 std::string(name) + ": " + std::to_string(data.size()) + " bytes, and a server takes " +
                     std::to_string(kMaxRequestBytes) + " at most",
                 {}};
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
