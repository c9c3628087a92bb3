// Somebody who types beside a download: the two that share a path in the scenarios about it. 32 bytes go out
// every 20 ms whether or not earlier ones are back, as a person's typing would. Every byte of both is
// checked.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "bench/stream_pattern.h"
#include "support/socket.h"

namespace jump::bench {

// The download, on a thread of its own, until its end of life. What it has received so far can be asked for.
class Background {
 public:
  // `port` leads to FarEnd::source().
  Background(const StreamPattern& pattern, std::uint16_t port) : pattern_(pattern), port_(port) {
    thread_ = std::thread([this] { run(); });
  }
  ~Background() {
    stop_ = true;
    thread_.join();
  }
  std::uint64_t received() const { return received_; }
  bool broken() const { return broken_; }  // or brought wrong bytes

 private:
  void run();

  const StreamPattern& pattern_;
  std::uint16_t port_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> broken_{false};
  std::atomic<std::uint64_t> received_{0};
  std::thread thread_;
};

// Round trips in milliseconds of all that is sent during `how_long`. `socket` leads to FarEnd::echo().
std::vector<double> type(test::Socket& socket, const StreamPattern& pattern, Duration how_long);

}  // namespace jump::bench
