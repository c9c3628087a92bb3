#include "support/tcp_service.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>

#include "support/pattern.h"
#include "support/setup_error.h"

namespace jump::test {

namespace {

constexpr std::size_t kPiece = 256 * 1024;
constexpr int kBacklog = 512;  // hundreds of connections at once are part of the tests

// Calls `take` with everything that comes, until an end.
template <class Take>
void read_to_end(Socket& socket, Take take) {
  Bytes buffer(kPiece);
  std::size_t got = 0;
  while (socket.receive_some(buffer, &got) == StreamEnd::kOpen) take(ByteView(buffer).first(got));
}

void send_pattern(Socket& socket, std::uint64_t seed, std::size_t size) {
  Pattern pattern(seed);
  Bytes piece;
  for (std::size_t done = 0; done < size; done += piece.size()) {
    piece.resize(std::min(kPiece, size - done));
    pattern.fill(piece);
    if (!socket.send_all(piece)) return;
  }
}

}  // namespace

TcpService::TcpService(Serve serve)
    : serve_(std::move(serve)),
      listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
      stop_(::eventfd(0, EFD_CLOEXEC)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_.get(), generic, length) != 0 || ::listen(listener_.get(), kBacklog) != 0 ||
      ::getsockname(listener_.get(), generic, &length) != 0) {
    setup_error("cannot listen on 127.0.0.1");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

TcpService::~TcpService() {
  stopping_ = true;
  const std::uint64_t one = 1;
  if (::write(stop_.get(), &one, sizeof one) < 0) std::abort();
  acceptor_.join();
  for (Connection& connection : connections_) {
    std::lock_guard lock(connection.closing);
    if (connection.socket.is_open()) connection.socket.shutdown_both();
  }
  for (Connection& connection : connections_) connection.thread.join();
}

void TcpService::accept_all() {
  while (!stopping_) {
    pollfd polled[2] = {{listener_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    ::poll(polled, 2, -1);
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd) continue;
    ++accepted_;
    ++open_;
    std::lock_guard lock(mutex_);
    Connection& connection = connections_.emplace_back(Socket(std::move(fd)));
    connection.thread = std::thread([this, &connection] { serve(connection); });
  }
}

void TcpService::serve(Connection& connection) {
  serve_(connection.socket);
  std::lock_guard lock(connection.closing);
  connection.socket.close();
  --open_;
}

TcpService::Serve TcpService::echo() {
  return [](Socket& socket) {
    read_to_end(socket, [&socket](ByteView data) { socket.send_all(data); });
    socket.shutdown_write();
  };
}

TcpService::Serve TcpService::hash_sink() {
  return [](Socket& socket) {
    Sha256 hash;
    read_to_end(socket, [&hash](ByteView data) { hash.update(data); });
    socket.send_all(hash.hex());
  };
}

TcpService::Serve TcpService::source(std::uint64_t seed, std::size_t size) {
  return [seed, size](Socket& socket) {
    send_pattern(socket, seed, size);
    socket.shutdown_write();
    read_to_end(socket, [](ByteView) {});
  };
}

TcpService::Serve TcpService::endless_source() {
  return [](Socket& socket) {
    const Bytes piece = pattern_bytes(1, kPiece);
    while (socket.send_all(piece)) {
    }
  };
}

TcpService::Serve TcpService::answer_after_eof(std::uint64_t seed, std::size_t size) {
  return [seed, size](Socket& socket) {
    read_to_end(socket, [](ByteView) {});
    send_pattern(socket, seed, size);
  };
}

TcpService::Serve TcpService::read_after_own_eof(std::string* got) {
  return [got](Socket& socket) {
    socket.shutdown_write();
    std::string text;
    read_to_end(socket, [&text](ByteView data) { text += as_text(data); });
    *got = text;
  };
}

TcpService::Serve TcpService::silent() {
  // Only asks for the end of the connection: what the peer sends piles up unread.
  return [](Socket& socket) {
    pollfd polled{socket.fd(), POLLRDHUP, 0};
    ::poll(&polled, 1, -1);
  };
}

TcpService::Serve TcpService::say(Bytes bytes, bool then_close) {
  return [bytes = std::move(bytes), then_close](Socket& socket) {
    socket.send_all(bytes);
    if (!then_close) read_to_end(socket, [](ByteView) {});
  };
}

}  // namespace jump::test
