#include "support/black_hole.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "support/setup_error.h"

namespace jump::test {

namespace {
constexpr int kMostQueued = 16;
constexpr Duration kConnectsAtOnce = milliseconds(300);  // loopback answers in microseconds
}  // namespace

BlackHole::BlackHole() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_.get(), generic, length) != 0 || ::listen(listener_.get(), 0) != 0 ||
      ::getsockname(listener_.get(), generic, &length) != 0) {
    setup_error("cannot listen on 127.0.0.1");
  }
  port_ = ntohs(address.sin_port);
  for (int i = 0; i < kMostQueued; ++i) {
    std::optional<Socket> filler = Socket::connect_tcp(port_, kConnectsAtOnce);
    if (!filler && !queue_.empty()) return;
    if (!filler) continue;  // it was this machine that did not come to it
    queue_.push_back(std::move(*filler));
  }
  setup_error("a listener with backlog 0 takes every connection here: no black hole");
}

}  // namespace jump::test
