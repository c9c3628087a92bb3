// A local port that leads through the bastion to a port of 127.0.0.1, made by the agent under test or by
// stock `ssh -L`. A test that holds for both has shown that it measures forwarding, not a habit of the agent.
#pragma once

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>

#include "support/lab.h"
#include "support/process.h"
#include "support/reserved_port.h"

namespace jump::test {

enum class Carrier { kAgent, kSsh };

inline std::ostream& operator<<(std::ostream& out, Carrier carrier) {
  return out << (carrier == Carrier::kAgent ? "agent" : "ssh");
}

class Tunnel {
 public:
  // Open when the constructor returns.
  Tunnel(Carrier carrier, Lab& lab, std::uint16_t target_port);
  std::uint16_t port() const { return port_; }

 private:
  void start_ssh(Lab& lab, std::uint16_t target_port);

  std::unique_ptr<ReservedPort> reserved_;
  std::unique_ptr<Process> ssh_;
  std::uint16_t port_ = 0;
};

}  // namespace jump::test
