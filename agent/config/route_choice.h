// Which host carries a forward, when the request does not say: the routing table, then default_via, then the
// only connected host. Pure.
#pragma once

#include <optional>
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

// `target`: what the host is to reach; none: what connects says so later, or the server only listens.
// `connected`: the names of the hosts that are. Errors: kInvalid, saying how to choose.
Result<RouteChoice> choose_route(const AgentConfig& config, const std::optional<Endpoint>& target,
                                 const std::vector<std::string>& connected);

}  // namespace jump
