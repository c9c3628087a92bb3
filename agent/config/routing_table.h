// RoutingTable: which host carries a forward to which target, by the [[route]] tables of the config file, in
// their order: the first that fits is taken. A route fits when one of its patterns does and none of its
// negated ones, as a Host line of ssh_config. A value.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config_error.h"
#include "config/destination_pattern.h"

namespace jump {

struct RouteRule {
  struct To {
    DestinationPattern pattern;
    ConfigPlace place;
  };
  std::vector<To> to;
  std::string via;
};

class RoutingTable {
 public:
  struct Match {
    const RouteRule* route = nullptr;
    const RouteRule::To* to = nullptr;  // the pattern that fits
  };

  void add(RouteRule route) { routes_.push_back(std::move(route)); }
  std::optional<Match> find(const Endpoint& target) const;
  const std::vector<RouteRule>& routes() const { return routes_; }

 private:
  std::vector<RouteRule> routes_;
};

}  // namespace jump
