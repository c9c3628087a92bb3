#include "config/routing_table.h"

#include <algorithm>

namespace jump {

std::optional<RoutingTable::Match> RoutingTable::find(const Endpoint& target) const {
  for (const RouteRule& route : routes_) {
    const auto fits = [&target](bool negated) {
      return [&target, negated](const RouteRule::To& to) {
        return to.pattern.negated() == negated && to.pattern.matches(target);
      };
    };
    if (std::any_of(route.to.begin(), route.to.end(), fits(true))) continue;
    const auto found = std::find_if(route.to.begin(), route.to.end(), fits(false));
    if (found != route.to.end()) return Match{&route, &*found};
  }
  return std::nullopt;
}

}  // namespace jump
