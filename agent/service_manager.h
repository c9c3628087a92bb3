// ServiceManager: what systemd, or whoever speaks its protocol, is told and gives: the state of the agent and
// its signs of life (sd_notify(3)), descriptors that it keeps for the next agent (sd_pid_notify_with_fds(3)),
// and those that it passes (sd_listen_fds(3)). Nobody there: all of it does nothing.
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
  // What was passed, with its name, which may be empty; once.
  struct Passed {
    std::string name;
    Fd fd;
  };
  std::vector<Passed> take_passed() { return std::move(passed_); }

  // Copies are kept under `name` for the next agent of this service, until it is given up. Whether there is
  // room for them is not known. False: it does not listen now, or nobody is there.
  bool keep(std::string_view name, const std::vector<int>& descriptors) const;
  bool give_up(std::string_view name) const;

  void ready(std::string_view status) const;
  void reloading() const;
  void stopping(std::string_view status) const;
  void alive() const;
  // The end takes so long at most, from now on.
  void ends_within(Duration limit) const;

 private:
  bool tell(std::string_view message, const std::vector<int>& descriptors = {}) const;

  Fd notify_;  // connected, so that it works when no descriptor is left
  std::optional<Duration> watchdog_;
  std::vector<Passed> passed_;
};

}  // namespace jump
