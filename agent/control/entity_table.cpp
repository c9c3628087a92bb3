#include "control/entity_table.h"

#include "proto/event_line.h"

namespace jump {
namespace {

using proto::ForwardStatus;
using proto::HostStatus;
using proto::InteractionStatus;
using proto::SessionStatus;

// --- what the kinds differ in ---

EntityKind kind_of(const HostStatus&) { return EntityKind::kHost; }
EntityKind kind_of(const ForwardStatus&) { return EntityKind::kForward; }
EntityKind kind_of(const SessionStatus&) { return EntityKind::kSession; }
EntityKind kind_of(const InteractionStatus&) { return EntityKind::kInteraction; }

const std::string& id_of(const HostStatus& status) { return status.host; }
const std::string& id_of(const ForwardStatus& status) { return status.id; }
const std::string& id_of(const SessionStatus& status) { return status.id; }
const std::string& id_of(const InteractionStatus& status) { return status.id; }

HostStatus without_ages(HostStatus status) {
  status.age = status.error_age = 0;
  status.heard_age.reset();
  status.unanswered.reset();
  return status;
}
ForwardStatus without_ages(ForwardStatus status) {
  status.age = status.error_age = 0;
  for (auto& target : status.targets) target.error_age = 0;
  return status;
}
SessionStatus without_ages(SessionStatus status) {
  status.age = 0;
  return status;
}
InteractionStatus without_ages(InteractionStatus status) {
  status.age = 0;
  return status;
}

HostStatus without_counters(HostStatus status) {
  status.rtt.reset();
  status.channels = status.channels_opening = status.channels_closing = 0;
  status.bytes_in = status.bytes_out = status.queued_out = status.held_in = 0;
  status.rekeys = status.logins = status.lane_logins = 0;
  status.waiting = status.answers_owed = status.replies_awaited = 0;
  status.opens_refused = status.opens_timed_out = 0;
  status.signals_refused = 0;
  status.window_stalls = status.window_growths = status.largest_window = 0;
  return status;
}
ForwardStatus without_counters(ForwardStatus status) {
  status.connections = status.connections_total = status.refused = 0;
  status.bytes_in = status.bytes_out = 0;
  status.rate_in = status.rate_out = 0;
  status.prewarmed = status.accept_pauses = 0;
  for (auto& target : status.targets) target.refused = 0;
  return status;
}
SessionStatus without_counters(SessionStatus status) {
  status.bytes_in = status.bytes_out = 0;
  return status;
}
InteractionStatus without_counters(InteractionStatus status) { return status; }

void put(proto::Event& event, const HostStatus& status) { event.host = status; }
void put(proto::Event& event, const ForwardStatus& status) { event.forward = status; }
void put(proto::Event& event, const SessionStatus& status) { event.session = status; }
void put(proto::Event& event, const InteractionStatus& status) { event.interaction = status; }

// --- what they share ---

template <class Status>
EntityChange change_of(const char* action, const Status& status, bool counters_only = false) {
  proto::Event event;
  event.kind = entity_kind_name(kind_of(status));
  event.action = action;
  event.id = id_of(status);
  put(event, status);
  return {kind_of(status), counters_only, proto::encode_event_members(event)};
}

template <class Status>
EntityChange removal_of(const Status& status) {
  proto::Event event;
  event.kind = entity_kind_name(kind_of(status));
  event.action = "removed";
  event.id = id_of(status);
  return {kind_of(status), false, proto::encode_event_members(event)};
}

}  // namespace

const char* entity_kind_name(EntityKind kind) {
  switch (kind) {
    case EntityKind::kHost:
      return "host";
    case EntityKind::kForward:
      return "forward";
    case EntityKind::kSession:
      return "session";
    case EntityKind::kInteraction:
      break;
  }
  return "interaction";
}

std::vector<EntityChange> EntityTable::update(const proto::EventsSnapshot& now, Depth depth) {
  ++updates_;
  std::vector<EntityChange> changes;
  update_kind(hosts_, now.hosts, depth, changes);
  update_kind(interactions_, now.interactions, depth, changes);
  update_kind(forwards_, now.forwards, depth, changes);
  update_kind(sessions_, now.sessions, depth, changes);
  return changes;
}

template <class Status>
void EntityTable::update_kind(Rows<Status>& rows, const std::vector<Status>& now, Depth depth,
                              std::vector<EntityChange>& changes) {
  std::vector<EntityChange> present;
  for (const Status& status : now) {
    auto [place, is_new] = rows.try_emplace(id_of(status));
    Row<Status>& row = place->second;
    row.seen = updates_;
    if (is_new) {
      present.push_back(change_of("added", status));
    } else {
      const Status before = without_ages(row.said), after = without_ages(status);
      if (before == after) continue;
      const bool counters_only = without_counters(before) == without_counters(after);
      if (counters_only && depth == Depth::kState) continue;
      present.push_back(change_of("changed", status, counters_only));
    }
    row.said = status;
  }
  for (auto row = rows.begin(); row != rows.end();) {
    if (row->second.seen == updates_) {
      ++row;
      continue;
    }
    changes.push_back(removal_of(row->second.said));
    row = rows.erase(row);
  }
  changes.insert(changes.end(), std::make_move_iterator(present.begin()),
                 std::make_move_iterator(present.end()));
}

void EntityTable::begin(const proto::EventsSnapshot& now) {
  fill(hosts_, now.hosts);
  fill(forwards_, now.forwards);
  fill(sessions_, now.sessions);
  fill(interactions_, now.interactions);
}

template <class Status>
void EntityTable::fill(Rows<Status>& rows, const std::vector<Status>& now) {
  rows.clear();
  for (const Status& status : now) rows[id_of(status)] = {status, updates_};
}

}  // namespace jump
