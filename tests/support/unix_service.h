// A service on a Unix socket, one connection after the other: the end of a forward that is no TCP port. It
// passes each connection's bytes on to a TcpService's Serve.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>

#include "support/tcp_service.h"
#include "support/unique_fd.h"

namespace jump::test {

class UnixService {
 public:
  UnixService(std::string path, TcpService::Serve serve);
  ~UnixService();
  UnixService(const UnixService&) = delete;
  UnixService& operator=(const UnixService&) = delete;

  const std::string& path() const { return path_; }

 private:
  void serve_all();

  const std::string path_;
  const TcpService::Serve serve_;
  UniqueFd listener_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;           // guards current_ against our own shutdown of it
  Socket* current_ = nullptr;  // being served
  std::thread thread_;
};

}  // namespace jump::test
