#include "loop/socket_handle.h"

#include <sys/socket.h>
#include <unistd.h>

#include "loop/lost_ends.h"
#include "loop/uv_error.h"

namespace jump {

std::shared_ptr<SocketHandle> SocketHandle::make(Loop& loop, Kind kind) {
  std::shared_ptr<SocketHandle> handle(new SocketHandle(kind));
  if (kind == Kind::kTcp) {
    uv_tcp_init(loop.raw(), handle->tcp());
  } else {
    uv_pipe_init(loop.raw(), handle->pipe(), 0);
  }
  handle->opened(reinterpret_cast<uv_handle_t*>(handle->stream()), handle);
  return handle;
}

Result<std::shared_ptr<SocketHandle>> SocketHandle::adopt(Loop& loop, Kind kind, int fd) {
  std::shared_ptr<SocketHandle> handle = make(loop, kind);
  int status = kind == Kind::kTcp ? uv_tcp_open(handle->tcp(), fd) : uv_pipe_open(handle->pipe(), fd);
  if (status == 0) return handle;
  handle->close();
  ::close(fd);
  return uv_error(status, "cannot take over a socket");
}

int SocketHandle::fd() const {
  uv_os_fd_t fd = -1;
  if (open()) uv_fileno(reinterpret_cast<const uv_handle_t*>(&uv_), &fd);
  return fd;
}

namespace {

// What bounds the tries of a connection that is used would end those at its end as well.
void allow_many_tries([[maybe_unused]] int fd) {
#ifdef TCP_USER_TIMEOUT
  constexpr int kRtoMaxMs = 44, kUsual = 120'000;  // TCP_RTO_MAX_MS, see dialer.cpp
  const int no_limit = 0;
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &no_limit, sizeof(no_limit));
  setsockopt(fd, IPPROTO_TCP, kRtoMaxMs, &kUsual, sizeof(kUsual));
#endif
}

}  // namespace

void SocketHandle::close_with_reset() {
  const int number = fd();
  if (kind_ == Kind::kTcp && number >= 0) {
    // Not uv_tcp_close_reset(): that one refuses when a shutdown is under way.
    const linger now{.l_onoff = resets ? 1 : 0, .l_linger = 0};
    setsockopt(number, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    if (!resets) allow_many_tries(number);
    if (lost_ends) lost_ends->keep(number);
  }
  close();
}

void SocketHandle::on_loop_end() {
  owner = nullptr;
  connect.data = nullptr;
  lost_ends = nullptr;
  close_with_reset();
}

}  // namespace jump
