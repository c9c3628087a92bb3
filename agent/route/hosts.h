// Hosts: every host that was ever asked for, by the name the user gave it, and the jump hosts on the way to
// them. Owns them for the life of the agent. Some names stand for several of them (bastions).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "route/bastion_race.h"
#include "route/host.h"

namespace jump {

class Hosts final : private HostDirectory {
 public:
  // Names that users have asked for; each is small, but a runaway client must not grow the map without end.
  static constexpr std::size_t kMaxHosts = 1024;

  Hosts(Io& io, std::string ssh_config_file, Host::Lanes lanes = Host::Lanes::kAsNeeded,
        std::size_t window_memory = WindowBudget::kDefaultCap, Prompter* prompter = nullptr)
      : io_(io),
        routes_(io, std::move(ssh_config_file)),
        lanes_(lanes),
        prompter_(prompter),
        budget_(window_memory) {}

  ~Hosts();
  Hosts(const Hosts&) = delete;
  Hosts& operator=(const Hosts&) = delete;

  // The names that stand for several hosts, with those, as the config file has them. What is connected stays
  // as it is; the next login goes by them.
  using Bastions = std::map<std::string, std::vector<std::string>>;
  void set_bastions(Bastions bastions);
  // What a name stands for; empty: it is no bastion.
  const std::vector<std::string>& members(const std::string& name) const override;
  // Each bastion with the member that serves or, while none does, the first.
  std::map<std::string, std::string> serving() const;

  // The host of that name, made if need be. Errors: kInvalid (no host is called so), kLimit.
  Result<Host*> get(const std::string& name);
  // What ssh_config says about a host, now: the way to it, without logging in. Errors: those of RouteFinder.
  std::unique_ptr<Operation> resolve(const std::string& name, RouteFinder::Found done) {
    return routes_.find(name, {}, std::move(done));
  }
  // The host that carries what lies behind the jump hosts of `route`, which has some. Errors: kLimit.
  Result<Host*> carrier_of(const Route& route) { return carrier(route.to_jump_host()); }
  // Null when nobody asked for it yet.
  Host* find(const std::string& name);
  // Ends the connection of that host, unless others go through it. Errors: kNotFound, kInUse, which names
  // them.
  Status disconnect(const std::string& name, const Error& reason);
  void nudge(Host::Nudge why);
  // What breaks from now on comes back for those alone who wait for it.
  void let_go();
  // The names of those that are connected and that somebody asked for, in alphabetical order: no mere jump
  // hosts, and one name for each connection.
  std::vector<std::string> connected() const;

  const std::map<std::string, std::unique_ptr<Host>>& all() const { return hosts_; }
  // An agent before this one was logged in to those, which took a person, or took none. Names that it had for
  // others than the user's (jump hosts in the middle of a list) count once there are such hosts.
  void expect(const std::vector<std::string>& attended, const std::vector<std::string>& unattended);
  // As it was told of, also for hosts that are not there yet.
  const std::map<std::string, bool>& expected() const { return expected_; }
  const WindowBudget& budget() const { return budget_; }
  // Hears, from within, that a host is new or may be in another state now.
  void on_changed(std::function<void()> changed) { changed_ = std::move(changed); }

 private:
  // HostDirectory
  Host* same_connection(const Host& asking, const Route& route) override;
  Result<Host*> carrier(const Route& route) override;
  std::vector<Host*> carried_by(const Host& host) const override;
  Result<Host*> member(const std::string& name) override;
  std::vector<Host*> bastions_of(const Host& host) const override;
  std::vector<Host*> suitors(const Host& host) const override;
  bool may_ask(const Host& host) override;
  void host_connected(const Host& host) override;
  void host_changed() override;
  std::vector<BastionRace*> races() const;
  Result<Host*> make(const std::string& name, const std::string& jump);

  Io& io_;
  RouteFinder routes_;
  const Host::Lanes lanes_;
  Prompter* const prompter_;
  std::function<void()> changed_;
  Bastions bastions_;
  WindowBudget budget_;                   // of all connections together
  std::map<std::string, bool> expected_;  // whether the login takes a person, by the hosts' names
  std::map<std::string, std::unique_ptr<Host>> hosts_;  // by Host::name()
  std::set<std::string> asked_for_;                     // by get(), so not jump hosts only
};

}  // namespace jump
