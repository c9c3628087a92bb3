#include "config/route_choice.h"

#include <fmt/core.h>
#include <fmt/format.h>

namespace jump {

Result<RouteChoice> choose_route(const AgentConfig& config, const std::optional<Endpoint>& target,
                                 const std::vector<std::string>& connected) {
  if (const auto match = target ? config.routes.find(*target) : std::nullopt) {
    return RouteChoice{match->route->via, fmt::format("route \"{}\" in {}", match->to->pattern.text(),
                                                      config.short_place(match->to->place))};
  }
  if (!config.default_via.empty()) {
    return RouteChoice{config.default_via, "default_via in " + config.short_place(config.default_via_place)};
  }
  if (connected.size() == 1) return RouteChoice{connected.front(), "the only connected host"};
  std::string why = "no host is connected";
  if (!connected.empty()) why = fmt::format("several hosts are connected ({})", fmt::join(connected, ", "));
  if (target && !config.routes.routes().empty())
    why += fmt::format(", and no route is for {}", target->to_string());
  return Error{Errc::kInvalid, "which host should carry it? " + why,
               "name it: --via HOST, or set default_via or a [[route]] in the config file"};
}

}  // namespace jump
