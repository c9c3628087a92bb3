// Hosts: every host that was ever asked for, by the name the user gave it. Owns them for the life of the
// agent.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "route/host.h"

namespace jump {

class Hosts {
 public:
  // Names that users have asked for; each is small, but a runaway client must not grow the map without end.
  static constexpr std::size_t kMaxHosts = 1024;

  Hosts(Io& io, std::string ssh_config_file) : io_(io), config_(io, std::move(ssh_config_file)) {}

  // The host of that name, made if need be. Errors: kInvalid (no host is called so), kLimit.
  Result<Host*> get(const std::string& name);
  // Null when nobody asked for it yet.
  Host* find(const std::string& name);
  // For a request that names no host: the only connected one. Errors: kInvalid, saying how to choose.
  Result<Host*> only_connected();

  const std::map<std::string, std::unique_ptr<Host>>& all() const { return hosts_; }

 private:
  Io& io_;
  SshConfig config_;
  WindowBudget budget_;  // of all connections together
  std::map<std::string, std::unique_ptr<Host>> hosts_;
};

}  // namespace jump
