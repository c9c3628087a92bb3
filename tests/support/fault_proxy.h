// FaultProxy: a TCP path on 127.0.0.1 that a test can spoil: connections to its port are carried to the
// target port, and meanwhile delayed, stalled, reset or ended in one direction. One thread; each call takes
// effect at once, for the connections that there are and for those that come.
//
//   set_delay(d)   bytes of both directions arrive that much later
//   stall(true)    nothing is read nor written any more, nothing is said: a path that is cut, as far as TCP's
//   users
//                  can tell; connections are accepted by the kernel, and wait
//   refuse(true)   new connections are reset
//   reset_all()    both ends of each connection get a reset
//   half_close()   the target's end of each connection is told that the other side has ended, and nothing
//   else
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "support/unique_fd.h"

namespace jump::test {

class FaultProxy {
 public:
  explicit FaultProxy(std::uint16_t target_port);
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  std::uint16_t port() const { return port_; }

  void set_delay(Duration delay);
  void stall(bool on);
  void refuse(bool on);
  void reset_all();
  void half_close();

 private:
  class Engine;

  void tell(std::function<void(Engine&)> what);

  std::uint16_t port_ = 0;  // before listener_, which sets it
  UniqueFd listener_;
  UniqueFd wake_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;  // guards told_
  std::vector<std::function<void(Engine&)>> told_;
  std::thread thread_;
};

}  // namespace jump::test
