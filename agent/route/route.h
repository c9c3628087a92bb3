// Route: the servers on the way to a host, in the order in which they are logged in to. The last one is the
// host itself; each is reached through the one before it, the first one from here (directly, or by its
// ProxyCommand).
//
// The way is ssh's own. `ProxyJump a,b` of c makes ssh run `ssh -J a -W c b`, and that one `ssh -W b a`: so b
// is reached through a whatever b's own configuration says, and a, the first of the list, by its own
// ProxyJump or ProxyCommand. Invariant: a route has 1 to kMaxHops steps, and no host's configuration is asked
// twice for it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "hop/hop_spec.h"
#include "route/ssh_config.h"
#include "stream/io.h"

namespace jump {

struct Route {
  // Each hop is encrypted by all that follow it, and each login waits for the one before it: more than this
  // is a mistake, or a configuration that grows with every step.
  static constexpr std::size_t kMaxHops = 16;

  struct Step {
    std::string name;  // as the user or ProxyJump named it: "prod", "me@b:2222"
    std::string
        jump;  // the part of a ProxyJump list that stands for its own configuration; empty: that holds
    HopSpec spec;

    // "b", or "b via a" where a list, not b's own configuration, leads there.
    std::string title() const { return jump.empty() ? name : name + " via " + jump; }
  };
  std::vector<Step> steps;

  const HopSpec& target() const { return steps.back().spec; }
  // The way to the last jump host. Only where there is one.
  Route to_jump_host() const { return Route{{steps.begin(), steps.end() - 1}}; }
  // Whether one chain of connections can serve both, whatever the names.
  bool same_connections(const Route& other) const;
  // "a, b" for the steps before the last.
  std::string describe_jumps() const;
};

// Finds routes: asks ssh for one host after the other, from the target back to here.
class RouteFinder {
 public:
  RouteFinder(Io& io, std::string ssh_config_file) : config_(io, std::move(ssh_config_file)) {}

  // Jump hosts that are names of the agent's own config, not of ssh's. A route that leads through one begins
  // there, or goes on with the host that is named for it.
  using Bastions = std::map<std::string, std::string>;
  void set_bastions(Bastions bastions) { bastions_ = std::move(bastions); }

  // `jump` as in SshConfig::resolve(). Errors: those of SshConfig, for any host on the way; kInvalid for a
  // cycle, which the message shows; kLimit. The operation must not outlive this object.
  using Found = std::function<void(Result<Route>)>;
  std::unique_ptr<Operation> find(const std::string& name, const std::string& jump, Found done);

 private:
  class Search;
  SshConfig config_;
  Bastions bastions_;
};

}  // namespace jump
