// SocketAddress: an IPv4 or IPv6 address with a port, as the kernel wants it and as a person reads it.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

namespace jump {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  static SocketAddress from(const sockaddr* address, socklen_t length);
  // A literal address ("10.0.0.5", "::1", "fe80::1%eth0"); nothing when it is a name. Never asks a server.
  static std::optional<SocketAddress> parse(const std::string& literal, std::uint16_t port);
  // What a bound or connected socket says of itself or of its peer; empty (length 0) when it has none.
  static SocketAddress local_of(int fd);
  static SocketAddress peer_of(int fd);

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  std::uint16_t port() const;
  void set_port(std::uint16_t port);
  std::string host() const;       // "10.0.0.5", "::1"
  std::string to_string() const;  // "10.0.0.5:22", "[::1]:22"
};

}  // namespace jump
