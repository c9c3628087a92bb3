// ServiceManager: what systemd, or whoever speaks its protocol, is told and gives: the state of the agent and
// its signs of life (sd_notify(3)), and sockets that listen already (sd_listen_fds(3)). Nobody there: all of
// it does nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"

namespace jump {

class ServiceManager {
 public:
  // Takes its variables out of the environment: they are not for our children.
  static ServiceManager from_environment();

  bool present() const { return static_cast<bool>(notify_); }
  // How often it wants a sign of life, with time to spare; none: it does not watch.
  std::optional<Duration> watchdog() const { return watchdog_; }
  // Listening sockets that were passed; once.
  std::vector<Fd> take_sockets() { return std::move(sockets_); }

  void ready(std::string_view status) const;
  void reloading() const;
  void stopping(std::string_view status) const;
  void alive() const;

 private:
  void tell(std::string_view message) const;

  Fd notify_;  // connected, so that it works when no descriptor is left
  std::optional<Duration> watchdog_;
  std::vector<Fd> sockets_;
};

}  // namespace jump
