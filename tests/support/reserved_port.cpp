#include "support/reserved_port.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <random>
#include <string>

#include "support/setup_error.h"

namespace jump::test {

namespace {

constexpr int kLowest = 20000;
constexpr int kHighest = 32000;  // Linux begins its ephemeral ports at 32768
constexpr int kAttempts = 200;

UniqueFd lock(int port) {
  const std::string name = "jump-test-port-" + std::to_string(port);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());  // the leading zero byte makes it abstract
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) return {};
  return fd;
}

bool is_free(int port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

ReservedPort::ReservedPort() {
  std::random_device random;
  std::uniform_int_distribution<int> any(kLowest, kHighest);
  for (int i = 0; i < kAttempts; ++i) {
    const int port = any(random);
    UniqueFd held = lock(port);
    if (!held || !is_free(port)) continue;
    lock_ = std::move(held);
    number_ = static_cast<std::uint16_t>(port);
    return;
  }
  setup_error("no free TCP port between 20000 and 32000");
}

}  // namespace jump::test
