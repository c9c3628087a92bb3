// Which host carries a forward, when the request does not say: the routing table, then default_via, then the
// only connected host. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "config/agent_config.h"
#include "stream/io.h"

namespace jump {

struct RouteChoice {
  std::string via;
  std::string rule;  // for a person: "route \"*.prod.example\" in config.toml:12"
};

// `connected`: the names of the hosts that are. Errors: kInvalid, saying how to choose.
Result<RouteChoice> choose_route(const AgentConfig& config, const Endpoint& target,
                                 const std::vector<std::string>& connected);

}  // namespace jump
