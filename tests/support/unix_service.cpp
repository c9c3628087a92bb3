#include "support/unix_service.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "support/setup_error.h"

namespace jump::test {

namespace {
constexpr int kLook = 50;  // milliseconds between two looks whether it is to stop
}

UnixService::UnixService(std::string path, TcpService::Serve serve)
    : path_(std::move(path)),
      serve_(std::move(serve)),
      listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof address.sun_path) setup_error("too long for a Unix socket: " + path_);
  std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
  if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener_.get(), SOMAXCONN) != 0) {
    setup_error("cannot listen on " + path_);
  }
  thread_ = std::thread([this] { serve_all(); });
}

UnixService::~UnixService() {
  stopping_ = true;
  {
    std::lock_guard lock(mutex_);
    if (current_) current_->shutdown_both();
  }
  thread_.join();
  ::unlink(path_.c_str());
}

void UnixService::serve_all() {
  while (!stopping_) {
    pollfd polled{listener_.get(), POLLIN, 0};
    ::poll(&polled, 1, kLook);
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd) continue;
    Socket socket(std::move(fd));
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      current_ = &socket;
    }
    serve_(socket);
    std::lock_guard lock(mutex_);
    current_ = nullptr;
  }
}

}  // namespace jump::test
