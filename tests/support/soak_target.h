// SoakTarget: the far end of the soak, on a TCP port of 127.0.0.1 or on a Unix socket. Each connection sends
// a SoakPlan first and is then treated as that says; one that ends without a whole plan (a spare channel, a
// client that left) is closed. A thread for each connection, reaped as others come: it runs for hours.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/soak_plan.h"
#include "support/socket.h"
#include "support/unique_fd.h"

namespace jump::test {

class SoakTarget {
 public:
  // On a port of its own, or at `path`.
  explicit SoakTarget(const std::string& path = {});
  ~SoakTarget();
  SoakTarget(const SoakTarget&) = delete;
  SoakTarget& operator=(const SoakTarget&) = delete;

  std::uint16_t port() const { return port_; }
  std::size_t open() const { return open_; }
  // What went other than its plan says; at most the first few.
  std::vector<std::string> complaints() const;

 private:
  struct Connection {
    explicit Connection(Socket s) : socket(std::move(s)) {}
    Socket socket;
    std::mutex closing;  // guards the closing of `socket` against our own shutdown of it
    std::atomic<bool> done{false};
    std::thread thread;
  };

  void accept_all();
  void serve(Connection& connection);
  void play_plan(Socket& socket);
  void reap();

  std::uint16_t port_ = 0;  // before listener_, which sets it
  UniqueFd listener_;
  UniqueFd stop_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::size_t> open_{0};
  std::list<Connection> connections_;  // of the acceptor's thread, and of ~SoakTarget() after it
  mutable std::mutex mutex_;           // guards complaints_
  std::vector<std::string> complaints_;
  std::thread acceptor_;
};

}  // namespace jump::test
