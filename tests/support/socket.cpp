#include "support/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "support/setup_error.h"

namespace jump::test {

namespace {

constexpr std::size_t kReadSize = 256 * 1024;

bool wait_for(int fd, short events, TimePoint end) {
  pollfd polled{fd, events, 0};
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(end - Clock::now()).count();
    const int ready = ::poll(&polled, 1, left < 0 ? 0 : static_cast<int>(left));
    if (ready > 0) return true;
    if (ready == 0 && left <= 0) return false;
    if (ready < 0 && errno != EINTR) return false;
  }
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

Socket::Socket(UniqueFd fd) : fd_(std::move(fd)) {
  ::fcntl(fd_.get(), F_SETFL, ::fcntl(fd_.get(), F_GETFL) | O_NONBLOCK);
}

std::optional<Socket> Socket::connect_tcp(std::uint16_t port, Duration deadline) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) setup_error("out of sockets");
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    if (errno != EINPROGRESS || !wait_for(fd.get(), POLLOUT, Clock::now() + deadline)) return std::nullopt;
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    // Reset: it was connected, and has been ended since. Reading will say so.
    if (error != 0 && error != ECONNRESET) return std::nullopt;
  }
  return Socket(std::move(fd));
}

std::optional<Socket> Socket::connect_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) setup_error("too long for a Unix socket: " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return std::nullopt;
  return Socket(std::move(fd));
}

bool Socket::send_all(ByteView data, Duration deadline) {
  const TimePoint end = Clock::now() + deadline;
  while (!data.empty()) {
    const ssize_t sent = ::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      data = data.subspan(static_cast<std::size_t>(sent));
    } else if (!would_block() || !wait_for(fd_.get(), POLLOUT, end)) {
      return false;
    }
  }
  return true;
}

std::size_t Socket::send_until_stuck(Duration quiet) {
  const Bytes chunk(kReadSize);
  std::size_t total = 0;
  for (;;) {
    const ssize_t sent = ::send(fd_.get(), chunk.data(), chunk.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      total += static_cast<std::size_t>(sent);
    } else if (!would_block() || !wait_for(fd_.get(), POLLOUT, Clock::now() + quiet)) {
      return total;
    }
  }
}

StreamEnd Socket::receive_some(std::span<std::uint8_t> buffer, std::size_t* count, Duration deadline) {
  const TimePoint end = Clock::now() + deadline;
  *count = 0;
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (got == 0) return StreamEnd::kEof;
    if (got > 0) {
      *count = static_cast<std::size_t>(got);
      return StreamEnd::kOpen;
    }
    if (!would_block()) return StreamEnd::kReset;
    if (!wait_for(fd_.get(), POLLIN, end)) return StreamEnd::kTimeout;
  }
}

Received Socket::receive_exactly(std::size_t count, Duration deadline) {
  const TimePoint end = Clock::now() + deadline;
  Received received;
  received.bytes.resize(count);
  std::size_t have = 0;
  while (have < count && received.end == StreamEnd::kOpen) {
    std::size_t got = 0;
    received.end = receive_some(std::span(received.bytes).subspan(have), &got, end - Clock::now());
    have += got;
  }
  received.bytes.resize(have);
  return received;
}

Received Socket::receive_all(Duration deadline) {
  const TimePoint end = Clock::now() + deadline;
  Received received;
  Bytes buffer(kReadSize);
  while (received.end == StreamEnd::kOpen) {
    std::size_t got = 0;
    received.end = receive_some(buffer, &got, end - Clock::now());
    received.bytes.insert(received.bytes.end(), buffer.begin(),
                          buffer.begin() + static_cast<std::ptrdiff_t>(got));
  }
  return received;
}

std::optional<std::string> Socket::receive_line(Duration deadline) {
  const TimePoint end = Clock::now() + deadline;
  std::string line;
  for (;;) {
    std::uint8_t byte = 0;
    std::size_t got = 0;
    if (receive_some({&byte, 1}, &got, end - Clock::now()) != StreamEnd::kOpen) return std::nullopt;
    if (byte == '\n') return line;
    line.push_back(static_cast<char>(byte));
  }
}

bool Socket::wait_end(Duration deadline) {
  const TimePoint end = Clock::now() + deadline;
  Bytes buffer(kReadSize);
  StreamEnd state = StreamEnd::kOpen;
  do {
    std::size_t dropped = 0;
    state = receive_some(buffer, &dropped, end - Clock::now());
  } while (state == StreamEnd::kOpen && Clock::now() < end);
  return state == StreamEnd::kEof || state == StreamEnd::kReset;
}

void Socket::shutdown_write() { ::shutdown(fd_.get(), SHUT_WR); }
void Socket::shutdown_both() { ::shutdown(fd_.get(), SHUT_RDWR); }

void Socket::reset() {
  const linger now{1, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  fd_.reset();
}

}  // namespace jump::test
