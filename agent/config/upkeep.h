// Upkeep: sees to it that what the config file asks for is there: forwards are open, hosts of `connect` are
// logged in to once. A login that fails for a reason that passes is tried again, with growing pauses; one
// that a person has to mend waits for the next apply(), or for a user who asks for the host. It asks in
// nobody's name: the questions of such a login are for whoever joins it, or subscribed to all.
//
// Invariant: what clients asked for is left alone.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "config/agent_config.h"
#include "config/config_change.h"
#include "route/hosts.h"
#include "stream/io.h"

namespace jump {

class Upkeep {
 public:
  static constexpr Duration kFirstPause = seconds(1);
  static constexpr Duration kLongestPause = seconds(60);

  Upkeep(Io& io, Hosts& hosts, Forwards& forwards);
  ~Upkeep();
  Upkeep(const Upkeep&) = delete;
  Upkeep& operator=(const Upkeep&) = delete;

  struct Outcome {
    std::size_t opened = 0, closed = 0, kept = 0;  // forwards
    std::vector<std::string> connecting;           // hosts that are being logged in to
    std::vector<std::string> disconnected;
  };
  // From what `before` asked for to what `after` does. What is missing of it, though nothing changed, is
  // brought back.
  Outcome apply(const AgentConfig& before, const AgentConfig& after);
  // No more logins.
  void stop();

 private:
  class Login;

  bool connect(const std::string& name, Duration timeout);
  bool disconnect(const std::string& name);

  Io& io_;
  Hosts& hosts_;
  Forwards& forwards_;
  std::map<std::string, std::unique_ptr<Login>> logins_;  // under way, by host
};

}  // namespace jump
