// A TCP service on a free port of 127.0.0.1, with a thread for each connection: the far end of a forward.
// Stopping it ends every connection and waits for the threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

#include "support/socket.h"
#include "support/unique_fd.h"

namespace jump::test {

class TcpService {
 public:
  // Serves one connection; it is closed on return. Must return once the connection is broken.
  using Serve = std::function<void(Socket&)>;

  explicit TcpService(Serve serve);
  ~TcpService();
  TcpService(const TcpService&) = delete;
  TcpService& operator=(const TcpService&) = delete;

  std::uint16_t port() const { return port_; }
  std::size_t accepted() const { return accepted_; }
  std::size_t open() const { return open_; }

  // --- what to serve ---
  static Serve echo();
  // Reads to the end, then answers with the SHA-256 of it all, in hex.
  static Serve hash_sink();
  // Sends pattern_bytes(seed, size), ends its direction, and waits for the other's end.
  static Serve source(std::uint64_t seed, std::size_t size);
  // Sends without end.
  static Serve endless_source();
  // Reads to the end, and only then sends pattern_bytes(seed, size).
  static Serve answer_after_eof(std::uint64_t seed, std::size_t size);
  // Ends its direction at once, then reads to the end; `got` is set to what came.
  static Serve read_after_own_eof(std::string* got);
  // Says nothing, reads nothing, until the connection ends.
  static Serve silent();
  // Sends `bytes`, then closes, or stays open and silent.
  static Serve say(Bytes bytes, bool then_close);

 private:
  struct Connection {
    explicit Connection(Socket s) : socket(std::move(s)) {}
    Socket socket;
    std::mutex closing;  // guards the closing of `socket` against our own shutdown of it
    std::thread thread;
  };
  void accept_all();
  void serve(Connection& connection);

  Serve serve_;
  UniqueFd listener_;
  UniqueFd stop_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> accepted_{0};
  std::atomic<std::size_t> open_{0};
  std::mutex mutex_;
  std::list<Connection> connections_;
  std::thread acceptor_;
};

}  // namespace jump::test
