// What a client of events.subscribe knows: the snapshot, and every event applied to it. It checks what the
// protocol promises: numbers without a gap but those that "events.lagged" accounts for, "added" of what was
// not there, "changed" and "removed" of what was.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace jump::test {

class EventReplica {
 public:
  using Entities = std::map<std::string, nlohmann::json>;  // by id

  // The result of events.subscribe.
  void begin(const nlohmann::json& result);
  // A notification, whole.
  void apply(const nlohmann::json& notification);

  const Entities& hosts() const { return hosts_; }
  const Entities& forwards() const { return forwards_; }
  const Entities& sessions() const { return sessions_; }
  const Entities& interactions() const { return interactions_; }
  // "" when there is none.
  std::string host_state(const std::string& name) const { return state_of(hosts_, name); }
  std::string forward_state(const std::string& id) const { return state_of(forwards_, id); }

  std::uint64_t seq() const { return seq_; }
  std::uint64_t events() const { return events_; }  // deltas
  std::uint64_t lagged() const { return lagged_; }  // times
  std::uint64_t missed() const { return missed_; }
  // Broken promises.
  const std::vector<std::string>& problems() const { return problems_; }
  // Every state that a host or forward was told to be in, in order: "host prod ready".
  const std::vector<std::string>& history() const { return history_; }
  // How it differs from `status` (of the method of that name, or a snapshot), ages and counters aside; empty:
  // in nothing.
  std::string difference(const nlohmann::json& status) const;

 private:
  static std::string state_of(const Entities& all, const std::string& id);
  void replace(const nlohmann::json& snapshot);
  void on_event(const nlohmann::json& event);
  void problem(const std::string& what, const nlohmann::json& where) {
    problems_.push_back(what + ": " + where.dump().substr(0, 300));
  }

  Entities hosts_, forwards_, sessions_, interactions_;
  std::uint64_t seq_ = 0, events_ = 0, lagged_ = 0, missed_ = 0;
  std::vector<std::string> problems_, history_;
};

}  // namespace jump::test
