#include "channel/remote_listen.h"

#include <cassert>

#include "base/wire.h"
#include "stream/io.h"

namespace jump {

RemoteListen RemoteListen::tcp(std::string_view address, std::uint16_t port) {
  return {std::string(address == "*" ? "" : address), port, {}};
}

RemoteListen RemoteListen::unix_socket(std::string_view path) {
  assert(!path.empty());  // it would be every address
  return {{}, 0, std::string(path)};
}

std::string RemoteListen::to_string() const {
  return Endpoint{address.empty() ? "*" : address, port, path}.to_string();
}

std::string_view RemoteListen::listen_request() const {
  return is_unix() ? "streamlocal-forward@openssh.com" : "tcpip-forward";
}

std::string_view RemoteListen::cancel_request() const {
  return is_unix() ? "cancel-streamlocal-forward@openssh.com" : "cancel-tcpip-forward";
}

Bytes RemoteListen::request_data() const {
  WireWriter out;
  if (is_unix()) return out.string(std::string_view(path)).take();
  return out.string(std::string_view(address == "*" ? "" : address)).u32(port).take();
}

Error RemoteListen::refused() const {
  std::string message = "the server refused to listen on " + to_string();
  if (is_unix()) {
    return {Errc::kRefused, std::move(message),
            "the path may exist there already (sshd removes a stale socket only with StreamLocalBindUnlink "
            "yes), its directory may not be writable, or AllowStreamLocalForwarding forbids it"};
  }
  std::string hint = port == 0 ? "" : "the port may be taken there, or ";
  hint += "sshd's AllowTcpForwarding, PermitListen or GatewayPorts forbids it";
  if (port > 0 && port < 1024) hint += "; ports below 1024 are for root";
  return {Errc::kRefused, std::move(message), std::move(hint)};
}

}  // namespace jump
