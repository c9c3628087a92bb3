// A connected stream socket, TCP on 127.0.0.1 or Unix, whose every wait has a deadline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "support/unique_fd.h"

namespace jump::test {

// How a read came to its end.
enum class StreamEnd {
  kOpen,     // as many bytes as asked for came; there may be more
  kEof,      // the peer ended its direction
  kReset,    // the connection broke
  kTimeout,  // the deadline passed first
};

struct Received {
  Bytes bytes;
  StreamEnd end = StreamEnd::kOpen;

  std::string_view text() const { return as_text(bytes); }
  bool ended() const { return end == StreamEnd::kEof || end == StreamEnd::kReset; }
};

class Socket {
 public:
  static constexpr Duration kDeadline = seconds(60);  // for a test that has no bound of its own

  explicit Socket(UniqueFd fd);

  // nullopt: refused, or not connected within the deadline.
  static std::optional<Socket> connect_tcp(std::uint16_t port, Duration deadline = seconds(10));
  static std::optional<Socket> connect_unix(const std::string& path);

  // False when the connection broke or the deadline passed before all was sent.
  bool send_all(ByteView data, Duration deadline = kDeadline);
  bool send_all(std::string_view text, Duration deadline = kDeadline) {
    return send_all(as_bytes(text), deadline);
  }
  // Sends until no more is taken for `quiet` long; returns how much was. For filling a connection nobody
  // reads.
  std::size_t send_until_stuck(Duration quiet);

  // Whatever is there first: 1..size bytes, or an end.
  StreamEnd receive_some(std::span<std::uint8_t> buffer, std::size_t* count, Duration deadline = kDeadline);
  // `count` bytes, or fewer and the reason.
  Received receive_exactly(std::size_t count, Duration deadline = kDeadline);
  // All until the end; `deadline` is for the whole.
  Received receive_all(Duration deadline = kDeadline);
  // One line, without its '\n'; nullopt at an end or the deadline.
  std::optional<std::string> receive_line(Duration deadline = kDeadline);
  // Whether the peer ends within the deadline; what arrives meanwhile is dropped.
  bool wait_end(Duration deadline);

  void shutdown_write();
  void shutdown_both();
  void close() { fd_.reset(); }
  // Closes with RST.
  void reset();
  bool is_open() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

}  // namespace jump::test
