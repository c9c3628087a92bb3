#include "config/config_change.h"

#include <algorithm>

namespace jump {
namespace {

// Those of `all` that are not among `known`. Files have few; a quadratic look is the simplest.
template <class T, class Same>
std::vector<T> missing(const std::vector<T>& all, const std::vector<T>& known, Same same) {
  std::vector<T> found;
  std::copy_if(all.begin(), all.end(), std::back_inserter(found), [&](const T& each) {
    return std::none_of(known.begin(), known.end(), [&](const T& other) { return same(each, other); });
  });
  return found;
}

}  // namespace

ConfigChange difference(const AgentConfig& before, const AgentConfig& after) {
  const auto same_forward = [](const ForwardRequest& a, const ForwardRequest& b) { return a.same_wish(b); };
  const auto same_host = [](const std::string& a, const std::string& b) { return a == b; };
  ConfigChange change;
  change.new_forwards = missing(after.forwards, before.forwards, same_forward);
  change.gone_forwards = missing(before.forwards, after.forwards, same_forward);
  change.new_connects = missing(after.connect, before.connect, same_host);
  change.gone_connects = missing(before.connect, after.connect, same_host);
  if (before.lanes != after.lanes) change.needs_restart.emplace_back("lanes");
  if (before.window_memory != after.window_memory) change.needs_restart.emplace_back("limits.window_memory");
  return change;
}

}  // namespace jump
