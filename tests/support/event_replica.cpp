#include "support/event_replica.h"

namespace jump::test {
namespace {

using nlohmann::json;

EventReplica::Entities by_id(const json& list, const char* id) {
  EventReplica::Entities all;
  for (const json& each : list) all[each.at(id).get<std::string>()] = each;
  return all;
}

// What is left when that which need not be told at once is taken away.
json settled(json entity) {
  for (const char* name : {"age",
                           "heard_age",
                           "unanswered",
                           "error_age",
                           "rtt",
                           "channels",
                           "channels_opening",
                           "channels_closing",
                           "bytes_in",
                           "bytes_out",
                           "queued_out",
                           "held_in",
                           "rekeys",
                           "logins",
                           "lane_logins",
                           "waiting",
                           "answers_owed",
                           "replies_awaited",
                           "opens_refused",
                           "opens_timed_out",
                           "window_stalls",
                           "window_growths",
                           "largest_window",
                           "connections",
                           "connections_total",
                           "refused",
                           "rate_in",
                           "rate_out",
                           "prewarmed",
                           "accept_pauses",
                           "signals_refused"}) {
    entity.erase(name);
  }
  if (entity.contains("targets")) {
    for (json& target : entity["targets"]) target.erase("error_age"), target.erase("refused");
  }
  return entity;
}

std::string difference_of(const EventReplica::Entities& known, const EventReplica::Entities& real) {
  for (const auto& [id, entity] : real) {
    const auto found = known.find(id);
    if (found == known.end()) return "does not know " + entity.dump();
    if (settled(found->second) != settled(entity))
      return "knows " + found->second.dump() + "\nof          " + entity.dump();
  }
  for (const auto& [id, entity] : known) {
    if (!real.contains(id)) return "still knows " + entity.dump();
  }
  return {};
}

}  // namespace

void EventReplica::begin(const json& result) {
  seq_ = result.at("seq").get<std::uint64_t>();
  replace(result.at("snapshot"));
}

void EventReplica::replace(const json& snapshot) {
  hosts_ = by_id(snapshot.at("hosts"), "host");
  forwards_ = by_id(snapshot.at("forwards"), "id");
  sessions_ = by_id(snapshot.at("sessions"), "id");
  interactions_ = by_id(snapshot.at("interactions"), "id");
}

void EventReplica::apply(const json& notification) {
  if (notification.value("jsonrpc", "") != "2.0" || notification.contains("id"))
    problem("no notification", notification);
  const std::string method = notification.value("method", "");
  const json& params = notification.at("params");
  const std::uint64_t seq = params.at("seq").get<std::uint64_t>();
  if (method == "event") {
    if (seq != seq_ + 1) problem("a gap after " + std::to_string(seq_), params);
    seq_ = seq;
    return on_event(params);
  }
  if (method != "events.lagged") return problem("unknown notification", notification);
  const std::uint64_t missed = params.at("missed").get<std::uint64_t>();
  if (missed == 0 || seq != seq_ + missed)
    problem("a gap not accounted for, after " + std::to_string(seq_), params);
  seq_ = seq;
  missed_ += missed;
  lagged_++;
  replace(params.at("snapshot"));
}

void EventReplica::on_event(const json& event) {
  events_++;
  const std::string kind = event.at("kind"), action = event.at("action"), id = event.at("id");
  const std::map<std::string, Entities*> kinds = {
      {"host", &hosts_}, {"forward", &forwards_}, {"session", &sessions_}, {"interaction", &interactions_}};
  if (!kinds.contains(kind)) return problem("unknown kind", event);
  Entities& all = *kinds.at(kind);
  if (all.contains(id) == (action == "added")) problem("it is otherwise", event);
  if (action == "removed") {
    all.erase(id);
    history_.push_back(kind + " " + id + " removed");
    return;
  }
  if (action != "added" && action != "changed") problem("unknown action", event);
  if (!event.contains(kind)) return problem("no entity", event);
  const json& entity = event.at(kind);
  if (entity.at(kind == "host" ? "host" : "id") != id) problem("another id", event);
  all[id] = entity;
  history_.push_back(kind + " " + id + " " + entity.value("state", action));
}

std::string EventReplica::state_of(const Entities& all, const std::string& id) {
  const auto found = all.find(id);
  return found == all.end() ? std::string() : found->second.value("state", "");
}

std::string EventReplica::difference(const json& status) const {
  for (const std::string& found : {difference_of(hosts_, by_id(status.at("hosts"), "host")),
                                   difference_of(forwards_, by_id(status.at("forwards"), "id")),
                                   difference_of(sessions_, by_id(status.at("sessions"), "id")),
                                   difference_of(interactions_, by_id(status.at("interactions"), "id"))}) {
    if (!found.empty()) return found;
  }
  return {};
}

}  // namespace jump::test
