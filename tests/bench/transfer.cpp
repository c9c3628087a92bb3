#include "bench/transfer.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "bench/far_end.h"
#include "support/eventually.h"
#include "support/setup_error.h"
#include "support/socket.h"

namespace jump::bench {

namespace {

using test::setup_error;
using test::Socket;

constexpr Duration kStall = seconds(60);

Socket connect_to(std::uint16_t port) {
  auto socket = Socket::connect_tcp(port);
  if (!socket) setup_error("the forward's port refuses the connection");
  return std::move(*socket);
}

}  // namespace

Transferred download(const StreamPattern& pattern, std::uint16_t port, Duration how_long) {
  Socket socket = connect_to(port);
  Bytes buffer(StreamPattern::kRun);
  Transferred done;
  const test::Stopwatch time;
  socket.send_all("!");
  bool asking = true;
  for (;;) {
    std::size_t got = 0;
    const test::StreamEnd end = socket.receive_some(buffer, &got, kStall);
    if (end == test::StreamEnd::kEof) break;
    if (end != test::StreamEnd::kOpen) setup_error("a download broke or stalled");
    if (!pattern.matches(done.bytes, {buffer.data(), got})) setup_error("a download brought wrong bytes");
    done.bytes += got;
    const Duration elapsed = time.elapsed();
    done.seconds = to_seconds(elapsed);
    if (asking && elapsed >= how_long) {
      asking = false;
      socket.shutdown_write();
    }
  }
  return done;
}

Transferred upload(const StreamPattern& pattern, std::uint16_t port, Duration how_long) {
  Socket socket = connect_to(port);
  Transferred done;
  const test::Stopwatch time;
  while (time.elapsed() < how_long) {
    const ssize_t sent = ::send(socket.fd(), pattern.at(done.bytes), StreamPattern::kRun, MSG_NOSIGNAL);
    if (sent > 0) {
      done.bytes += static_cast<std::uint64_t>(sent);
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) setup_error("an upload broke");
    pollfd polled{socket.fd(), POLLOUT, 0};
    ::poll(&polled, 1, 100);
  }
  socket.shutdown_write();
  const test::Received answer = socket.receive_exactly(sizeof(SinkVerdict), kStall);
  done.seconds = to_seconds(time.elapsed());
  SinkVerdict verdict{};
  if (answer.bytes.size() != sizeof verdict) setup_error("an upload was not confirmed");
  std::memcpy(&verdict, answer.bytes.data(), sizeof verdict);
  if (verdict.wrong || verdict.count != done.bytes) setup_error("an upload arrived with wrong bytes");
  return done;
}

}  // namespace jump::bench
