#include "openssh/offered_agent.h"

#include <algorithm>

namespace jump {
namespace {

std::string variable(std::string_view environment, std::string_view name) {
  while (!environment.empty()) {
    const std::string_view entry = environment.substr(0, environment.find('\0'));
    const bool is_it = entry.starts_with(name) && entry.substr(name.size()).starts_with('=');
    if (is_it) return std::string(entry.substr(name.size() + 1));
    environment.remove_prefix(std::min(environment.size(), entry.size() + 1));
  }
  return {};
}

// A path, or a variable that has it.
std::string path(const std::string& named, std::string_view environment) {
  return named.starts_with('$') ? variable(environment, std::string_view(named).substr(1)) : named;
}

}  // namespace

std::string offered_agent(const std::string& forward_agent, const std::string& identity_agent,
                          std::string_view environment) {
  if (!forward_agent.empty() && forward_agent != "yes") return path(forward_agent, environment);
  if (identity_agent == "none") return {};
  return identity_agent.empty() ? variable(environment, "SSH_AUTH_SOCK") : path(identity_agent, environment);
}

std::string ssh_agent_of(std::string_view environment) { return variable(environment, "SSH_AUTH_SOCK"); }

}  // namespace jump
