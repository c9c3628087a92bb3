// A TCP port of 127.0.0.1 where connecting never ends: neither accepted nor refused. It is a listener whose
// queue of finished connections is full, so that the kernel drops every further SYN, as a firewall would.
#pragma once

#include <cstdint>
#include <vector>

#include "support/socket.h"
#include "support/unique_fd.h"

namespace jump::test {

class BlackHole {
 public:
  BlackHole();
  std::uint16_t port() const { return port_; }

 private:
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::vector<Socket> queue_;
};

}  // namespace jump::test
