#include "route/hosts.h"

namespace jump {

Result<Host*> Hosts::get(const std::string& name) {
  if (Host* host = find(name)) return host;
  if (Result<HostName> parsed = HostName::parse(name); !parsed) return parsed.error();
  if (hosts_.size() >= kMaxHosts) {
    return Error{Errc::kLimit, "the agent knows " + std::to_string(kMaxHosts) + " hosts already",
                 "restart it: jumpagent down; jumpagent up"};
  }
  auto& slot = hosts_[name];
  slot = std::make_unique<Host>(io_, budget_, config_, name);
  return slot.get();
}

Host* Hosts::find(const std::string& name) {
  auto found = hosts_.find(name);
  return found == hosts_.end() ? nullptr : found->second.get();
}

Result<Host*> Hosts::only_connected() {
  Host* only = nullptr;
  std::string names;
  for (auto& [name, host] : hosts_) {
    if (!host->ready()) continue;
    names += (names.empty() ? "" : ", ") + name;
    if (only) continue;
    only = host.get();
  }
  if (only && names == only->name()) return only;
  std::string why = only ? "several hosts are connected (" + names + ")" : "no host is connected";
  return Error{Errc::kInvalid, "which host should carry it? " + why, "name it: --via HOST"};
}

}  // namespace jump
