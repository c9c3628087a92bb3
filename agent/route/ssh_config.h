// The user's ssh_config, as `ssh` itself understands it: `ssh -G HOST` is run and its answer becomes a
// HopSpec. So Host, Match, Include, tokens and canonicalisation are exactly ssh's. However many hosts are
// asked for, few of them are resolved at once (CommandQueue).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "hop/hop_spec.h"
#include "route/command_queue.h"
#include "route/host_name.h"
#include "route/spec_from_config.h"
#include "stream/io.h"

namespace jump {

class SshConfig {
 public:
  // How long the defaults of the `ssh` program are believed: it may be replaced by a newer one meanwhile.
  static constexpr Duration kDefaultsAge = std::chrono::hours(1);

  // `file` is what -F named; empty: ssh's own defaults.
  // The user's entry is looked up here, once: a directory service may take its time.
  SshConfig(Io& io, std::string file)
      : io_(io), commands_(io), file_(std::move(file)), user_(LocalUser::current()) {}

  // Resolves one host. `jump` is what -J would say ("a,b"): it stands for the host's own ProxyJump or
  // ProxyCommand; empty: those hold. Errors: kInvalid, with what ssh said about the configuration; those of
  // parsing. Without an `ssh` program: documented defaults (port 22, the local user, the standard identity
  // files), and a line in the log. The operation must not outlive this object.
  using Resolved = std::function<void(Result<HopSpec>)>;
  std::unique_ptr<Operation> resolve(const std::string& text, const std::string& jump, Resolved done);

 private:
  class Resolving;

  Command ask(const HostName& name, const std::string& jump) const;
  std::string ssh_command(const HostName& name, const std::string& jump) const;

  Io& io_;
  CommandQueue commands_;
  std::string file_;
  const LocalUser user_;
  ConfigDump defaults_;  // of the ssh program, without any configuration
  std::optional<TimePoint> defaults_time_;
};

}  // namespace jump
