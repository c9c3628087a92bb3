// The user's ssh_config, as `ssh` itself understands it: `ssh -G HOST` is run and its answer becomes a
// HopSpec. So Host, Match, Include, tokens and canonicalisation are exactly ssh's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "hop/hop_spec.h"
#include "route/host_name.h"
#include "stream/io.h"

namespace jump {

// What the answer's tokens and defaults depend on; a value, so that parsing is pure.
struct LocalUser {
  std::string name;
  std::string home;
  std::string agent_socket;  // $SSH_AUTH_SOCK of the agent's own environment
  static LocalUser current();
};

// The answer of `ssh -G` for `alias` as a HopSpec. Errors: kUnsupported, for what would change the way there
// and is not honoured yet (ProxyJump, ProxyCommand); kProtocol, for an answer that has no host name.
Result<HopSpec> parse_ssh_config_dump(std::string_view dump, std::string_view alias, const LocalUser& user);

class SshConfig {
 public:
  // `file` is what -F named; empty: ssh's own defaults.
  // The user's entry is looked up here, once: a directory service may take its time.
  SshConfig(Io& io, std::string file) : io_(io), file_(std::move(file)), user_(LocalUser::current()) {}

  // Resolves one host. Errors: kInvalid, with what ssh said about the configuration; those of parsing.
  // Without an `ssh` program: documented defaults (port 22, the local user, the standard identity files), and
  // a line in the log.
  using Resolved = std::function<void(Result<HopSpec>)>;
  std::unique_ptr<Operation> resolve(const std::string& text, Resolved done);

 private:
  std::string ssh_command(const HostName& name) const;

  Io& io_;
  std::string file_;
  const LocalUser user_;
};

}  // namespace jump
