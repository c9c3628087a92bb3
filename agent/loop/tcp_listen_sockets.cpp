#include "loop/tcp_listen_sockets.h"

#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "base/log.h"
#include "loop/port_holder.h"
#include "loop/socket_address.h"
#include "loop/uv_error.h"

namespace jump {
namespace {

// With port 0 the system's choice for IPv4 may be taken for IPv6: then it chooses again.
constexpr int kPairTries = 16;

Error bind_error(int code, const SocketAddress& address) {
  std::string where = address.to_string();
  switch (code) {
    case EADDRINUSE: {
      std::string holder = port_holder(address);
      return Error{Errc::kInUse, where + " is in use" + (holder.empty() ? "" : ": " + holder),
                   "choose another port, or 0 for any free one"};
    }
    case EACCES:
    case EPERM:
      return Error{
          Errc::kRefused,
          fmt::format(
              "cannot listen on {}: {}{}", where, uv_text(-code),
              address.port() != 0 && address.port() < 1024 ? " (ports below 1024 are privileged)" : ""),
          "choose a port from 1024 up"};
    case EADDRNOTAVAIL:
      return Error{
          Errc::kUnreachable, fmt::format("cannot listen on {}: not an address of this machine", where), {}};
    default:
      return uv_error(-code, "cannot listen on " + where);
  }
}

// 0 or errno; the socket goes to `out`.
int listen_one(const SocketAddress& address, int backlog, Fd* out) {
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno;
  int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (address.family() == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  if (bind(fd.get(), address.get(), address.length) != 0) return errno;
  if (listen(fd.get(), backlog) != 0) return errno;
  *out = std::move(fd);
  return 0;
}

// The IPv4 address must work; the IPv6 one is a bonus.
Result<std::vector<Fd>> listen_pair(const char* v4, const char* v6, std::uint16_t port, int backlog) {
  for (int i = 0;; ++i) {
    std::vector<Fd> sockets(1);
    SocketAddress first = *SocketAddress::parse(v4, port);
    if (int code = listen_one(first, backlog, &sockets[0])) return bind_error(code, first);

    SocketAddress second = *SocketAddress::parse(v6, SocketAddress::local_of(sockets[0].get()).port());
    Fd other;
    int code = listen_one(second, backlog, &other);
    if (code == EADDRINUSE && port == 0 && i < kPairTries) continue;
    if (code == 0) {
      sockets.push_back(std::move(other));
    } else if (code == EADDRINUSE) {
      log::warn("{}; listening on {} only", bind_error(code, second).message, first.to_string());
    }
    return sockets;
  }
}

}  // namespace

Result<std::vector<Fd>> listen_tcp(const Endpoint& at, int backlog) {
  if (at.host.empty() || at.host == "localhost") return listen_pair("127.0.0.1", "::1", at.port, backlog);
  if (at.host == "*") return listen_pair("0.0.0.0", "::", at.port, backlog);
  std::optional<SocketAddress> address = SocketAddress::parse(at.host, at.port);
  if (!address) {
    return Error{Errc::kInvalid, fmt::format("cannot listen on {}: '{}' is a name", at.to_string(), at.host),
                 "use an address of this machine, localhost, or * for all"};
  }
  std::vector<Fd> sockets(1);
  if (int code = listen_one(*address, backlog, &sockets[0])) return bind_error(code, *address);
  return sockets;
}

Status check_listening_tcp(const std::vector<Fd>& sockets) {
  for (const Fd& fd : sockets) {
    int listening = 0;
    int protocol = 0;
    socklen_t length = sizeof(int);
    if (getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0 || listening == 0 ||
        getsockopt(fd.get(), SOL_SOCKET, SO_PROTOCOL, &protocol, &length) != 0 || protocol != IPPROTO_TCP) {
      return Error{Errc::kInvalid, "what was passed is not a listening TCP socket", {}};
    }
  }
  return {};
}

}  // namespace jump
