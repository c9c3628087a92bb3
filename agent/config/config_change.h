// What a new config asks for beside what an old one did. Pure.
#pragma once

#include <string>
#include <vector>

#include "config/agent_config.h"

namespace jump {

struct ConfigChange {
  std::vector<ForwardRequest> new_forwards, gone_forwards;
  std::vector<std::string> new_connects, gone_connects;
  std::vector<std::string> needs_restart;  // settings that a running agent cannot change
};

// Forwards are the same when they listen, lead, are called and are carried alike; where they stand in the
// file is of no matter.
ConfigChange difference(const AgentConfig& before, const AgentConfig& after);

}  // namespace jump
