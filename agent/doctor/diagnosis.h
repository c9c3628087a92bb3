// Diagnosis: walks the way to one host with connections of its own, hop by hop, and notes what is well and
// what is not. It ends at the first hop that cannot be reached or logged in to.
//
//   route ─► which files say so ─► for each hop: ssh-agent, keys, known_hosts ─► DNS ─► Hop, to its login
//         └► through the last one: a channel to where nothing listens ─► done(Diagnosis)
//
// The connections are not the ones that Hosts share: those may be up although a new login would fail. What
// reads files or looks up names runs in the pool. Questions go to whoever waits as `waits_as`.
//
// Invariants: done() is called once, from the loop, within the limit; nothing of it stays connected after
// that, nor when it is destroyed earlier (its client has gone). Known hosts change only as a person says, or
// as StrictHostKeyChecking has it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/agent_client.h"
#include "auth/prompter.h"
#include "channel/window_budget.h"
#include "doctor/findings.h"
#include "hop/hop.h"
#include "proto/messages.h"
#include "route/route.h"
#include "stream/io.h"

namespace jump {

class Diagnosis final : public Operation {
 public:
  struct Setup {
    Io& io;
    RouteFinder& routes;
    WindowBudget& budget;
    std::string ssh_config_file;  // as -F; empty: ssh's own
    Prompter* prompter = nullptr;
    std::string host;
    std::string waits_as;  // the name that its client waits as (Question::waited_for)
    Duration limit;        // for all of it
  };
  using Done = std::function<void(proto::DiagnosisReport)>;

  // A lookup that takes longer would have failed a login's patience, too.
  static constexpr Duration kLookupTimeout = seconds(15);
  // The last hop's answer about a port of its own machine.
  static constexpr Duration kProbeTimeout = seconds(10);
  // One hop's connection: a ConnectTimeout of minutes is for those who wait for a machine to come up.
  static constexpr Duration kConnectMax = seconds(30);

  // All of `setup` that is a reference or a pointer outlives it.
  Diagnosis(Setup setup, Done done);
  ~Diagnosis() override;
  Diagnosis(const Diagnosis&) = delete;
  Diagnosis& operator=(const Diagnosis&) = delete;

 private:
  class Asking;
  // ProxyJump and ProxyCommand are both set.
  struct Conflict {
    std::string detail, advice;
  };
  enum class State { kRoute, kSources, kAgent, kFiles, kLookup, kHop, kProbe, kDone };

  void on_route(Result<Route> result);
  void begin_hop();
  void ask_sources();
  void check_sources();
  void on_sources(const Result<CommandOutput>& output);
  static std::optional<Conflict> find_conflict(const HopSpec& spec, const std::string& ssh_debug);
  void ask_agent();
  void check_files(const Result<std::vector<AgentIdentity>>& answer);
  void look_up();
  void on_addresses(const std::vector<std::string>& addresses, const std::string& error);
  void connect();
  std::unique_ptr<Operation> dial_through(Io::DialResult done);
  void note_carried(const Error* error);
  void on_hop_changed();
  void on_hop_failed();
  void probe();
  void on_probe(const Error* error);
  void on_time_up();
  void stop_here();
  void finish();
  void close_hops();
  void set_state(State next);

  const HopSpec& spec() const { return route_->steps[index_].spec; }
  std::string title() const { return route_->steps[index_].title(); }
  std::string carrier() const { return index_ == 0 ? std::string() : route_->steps[index_ - 1].title(); }
  Findings& here() { return findings_.back(); }

  Setup setup_;
  Io& io_;
  Done done_;
  const std::unique_ptr<Prompter> prompter_;
  State state_ = State::kRoute;
  std::optional<Route> route_;
  std::size_t index_ = 0;                           // of the hop that is being looked at
  std::vector<Findings> findings_;                  // one per hop so far
  std::vector<std::string> ssh_debug_;              // what ssh said of the files that it read, for each hop
  std::vector<std::optional<Conflict>> conflicts_;  // of each hop
  bool no_ssh_ = false;                             // there is no such program
  std::vector<std::unique_ptr<Hop>> hops_;
  std::optional<Error> carried_error_;  // why the jump host did not connect us
  std::unique_ptr<Operation> operation_;
  std::unique_ptr<AgentClient> agent_;
  std::unique_ptr<Deferred> hop_changed_soon_;
  std::unique_ptr<Timer> limit_timer_, lookup_timer_;
};

}  // namespace jump
