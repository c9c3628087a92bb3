// Any text is either a config whose every forward has a host and every route a destination, or errors that say
// something. The target of each forward is then looked up, as a request without a host is.
#include <cstdlib>

#include "base/bytes.h"
#include "config/config_change.h"
#include "config/route_choice.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace jump;
  const auto parsed = AgentConfig::parse(as_text({data, size}), "/config.toml");
  if (const auto* errors = std::get_if<ConfigErrors>(&parsed)) {
    if (errors->empty() || errors->size() > AgentConfig::kMaxErrors + 1) std::abort();
    for (const ConfigError& each : *errors) {
      if (each.message.empty()) std::abort();
    }
    if (summary("/config.toml", *errors).message.empty()) std::abort();
    return 0;
  }
  const auto& config = std::get<AgentConfig>(parsed);
  for (const RouteRule& route : config.routes.routes()) {
    if (route.via.empty() || route.to.empty()) std::abort();
  }
  for (const ForwardRequest& forward : config.forwards) {
    if (forward.via.empty() || forward.spec.empty()) std::abort();
    const auto choice = choose_route(config, forward.target, {"only"});
    if (!choice || choice->via.empty() || choice->rule.empty()) std::abort();
  }
  const ConfigChange same = difference(config, config);
  if (!same.new_forwards.empty() || !same.gone_forwards.empty()) std::abort();
  return 0;
}
