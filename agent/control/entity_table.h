// EntityTable: what was last said of each host, forward, session and question, and so what there is to say
// now.
//
//   snapshot of now ─► update() ─► changes: added, changed, removed
//
// What is said of an entity falls in three parts. Its state (all that is not one of the others): a difference
// is a change. Its counters and rates: a difference is a change when they are looked at. Its ages, which
// differ at every look: never one. A field that nobody has put among the last two is state: then there is an
// event too many, not one too few.
//
// Invariant: added, changed and removed, applied in their order to what was said before, give the snapshot,
// but for what is no change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "proto/messages.h"

namespace jump {

enum class EntityKind { kHost, kForward, kSession, kInteraction };
const char* entity_kind_name(EntityKind kind);

struct EntityChange {
  EntityKind kind = EntityKind::kHost;
  bool counters_only = false;
  std::string members;  // proto::encode_event_members()
};

class EntityTable {
 public:
  // Which differences are changes: those of the state, or those of counters and rates as well.
  enum class Depth { kState, kCounters };

  // Ids are unique within each list of `now`. What was removed comes first of its kind, the rest is in the
  // order of the list.
  std::vector<EntityChange> update(const proto::EventsSnapshot& now, Depth depth);
  // All of `now` was said otherwise.
  void begin(const proto::EventsSnapshot& now);
  void clear() { begin({}); }
  std::size_t size() const {
    return hosts_.size() + forwards_.size() + sessions_.size() + interactions_.size();
  }

 private:
  template <class Status>
  struct Row {
    Status said;
    std::uint64_t seen = 0;  // by the update() of that number
  };
  template <class Status>
  using Rows = std::unordered_map<std::string, Row<Status>>;

  template <class Status>
  void fill(Rows<Status>& rows, const std::vector<Status>& now);
  template <class Status>
  void update_kind(Rows<Status>& rows, const std::vector<Status>& now, Depth depth,
                   std::vector<EntityChange>& changes);

  Rows<proto::HostStatus> hosts_;
  Rows<proto::ForwardStatus> forwards_;
  Rows<proto::SessionStatus> sessions_;
  Rows<proto::InteractionStatus> interactions_;
  std::uint64_t updates_ = 0;
};

}  // namespace jump
