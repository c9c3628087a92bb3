#include "control/subscription.h"

#include <algorithm>
#include <array>

#include "proto/event_line.h"
#include "proto/rpc.h"

namespace jump {
namespace {

constexpr std::array kAllKinds = {EntityKind::kHost, EntityKind::kForward, EntityKind::kSession,
                                  EntityKind::kInteraction};

}  // namespace

Result<Subscription> Subscription::make(const proto::EventsSubscribeParams& params) {
  Subscription made;
  made.counters_ = params.counters;
  for (const std::string& name : params.kinds) {
    const auto* kind = std::find_if(kAllKinds.begin(), kAllKinds.end(),
                                    [&name](EntityKind each) { return name == entity_kind_name(each); });
    if (kind == kAllKinds.end()) {
      return Error{Errc::kInvalid,
                   "params.kinds: there is no kind '" + name.substr(0, 64) +
                       "'; there are host, forward, session, interaction",
                   {}};
    }
    made.kinds_ |= bit(*kind);
  }
  if (params.kinds.empty()) {
    for (EntityKind kind : kAllKinds) made.kinds_ |= bit(kind);
  }
  return made;
}

std::string Subscription::offer(const std::vector<EntityChange>& changes) {
  const bool tell = !lagging() && backlog_ < kMaxBacklog;
  std::string lines;
  for (const EntityChange& change : changes) {
    if (!wants(change.kind) || (change.counters_only && !counters_)) continue;
    ++seq_;
    if (tell) {
      lines += proto::event_line(seq_, change.members);
    } else {
      ++missed_;
    }
  }
  backlog_ += lines.size();
  return lines;
}

std::string Subscription::resync(const proto::EventsSnapshot& now) {
  const proto::EventsLagged lagged{seq_, missed_, part_of(now)};
  missed_ = 0;
  return proto::encode_notification(proto::notification::kEventsLagged, lagged);
}

proto::EventsSnapshot Subscription::part_of(const proto::EventsSnapshot& all) const {
  proto::EventsSnapshot part;
  if (wants(EntityKind::kHost)) part.hosts = all.hosts;
  if (wants(EntityKind::kForward)) part.forwards = all.forwards;
  if (wants(EntityKind::kSession)) part.sessions = all.sessions;
  if (wants(EntityKind::kInteraction)) part.interactions = all.interactions;
  return part;
}

}  // namespace jump
