// RemoteListen: where the server is asked to listen for us: a TCP address and port, or the path of a Unix
// socket. A value, and its form in the global requests of RFC 4254 section 7.1 and OpenSSH's PROTOCOL 2.4.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace jump {

struct RemoteListen {
  // As RFC 4254 has it: "localhost" is loopback of both families, "" (or "*", as ssh -R writes it) is every
  // address, anything else an address or name of the server's. `ssh -R 80:…` without an address: "localhost".
  std::string address = "localhost";
  std::uint16_t port = 0;  // 0: the server chooses
  std::string path;        // not empty: a Unix socket, and address and port mean nothing

  static RemoteListen tcp(std::string_view address, std::uint16_t port);
  static RemoteListen unix_socket(std::string_view path);  // not empty

  bool is_unix() const { return !path.empty(); }
  // "localhost:8080", "*:8080", "[::1]:8080", "/run/app.sock"
  std::string to_string() const;

  std::string_view listen_request() const;  // the request's name
  std::string_view cancel_request() const;
  Bytes request_data() const;  // of either

  // What a failure of the request means; the protocol has no reasons.
  Error refused() const;
};

}  // namespace jump
