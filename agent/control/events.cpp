#include "control/events.h"

#include <algorithm>
#include <string>
#include <utility>

namespace jump {

// Kept by the client: it ends when the client goes, or says that it will send no more.
class EventFeed::Presence final : public Operation {
 public:
  Presence(EventFeed& feed, std::uint64_t client) : feed_(feed), client_(client) {
    feed_.present_.insert(client);
  }
  ~Presence() override {
    feed_.present_.erase(client_);
    feed_.remove(client_);
  }

 private:
  EventFeed& feed_;
  const std::uint64_t client_;
};

EventFeed::EventFeed(Io& io, Observe observe)
    : io_(io),
      observe_(std::move(observe)),
      soon_(io.deferred([this] { look(); })),
      gap_timer_(io.timer([this] { look(); })),
      tick_timer_(io.timer([this] { on_tick(); })) {}

EventFeed::~EventFeed() = default;

void EventFeed::hint() {
  if (subscribers_.empty() || next_look_ != Look::kNone) return;
  const TimePoint now = io_.now();
  if (now >= earliest_) {
    next_look_ = Look::kSoon;
    soon_->schedule();
  } else {
    next_look_ = Look::kWaits;
    gap_timer_->start(earliest_ - now);
  }
}

void EventFeed::look() {
  // It may have been scheduled for subscribers that have gone.
  if (std::exchange(next_look_, Look::kNone) == Look::kNone || subscribers_.empty()) return;
  publish(observe_(), EntityTable::Depth::kState);
}

void EventFeed::on_tick() {
  if (subscribers_.empty()) return;
  tick_timer_->start(kCountersGap);
  publish(observe_(), EntityTable::Depth::kCounters);
}

void EventFeed::publish(const proto::EventsSnapshot& now, EntityTable::Depth depth) {
  const std::vector<EntityChange> changes = table_.update(now, depth);
  for (auto& [client, subscriber] : subscribers_) tell(subscriber, changes, now);
  earliest_ = io_.now() + kGap + static_cast<int>(table_.size()) * kGapPerEntity;
}

void EventFeed::tell(Subscriber& subscriber, const std::vector<EntityChange>& changes,
                     const proto::EventsSnapshot& now) {
  auto& [peer, subscription] = subscriber;
  if (peer->all_sent()) subscription.caught_up();
  const bool lagged_before = subscription.lagging();
  const std::string lines = subscription.offer(changes);
  if (!lines.empty()) peer->notify_patiently(lines);
  if (!subscription.lagging()) return;
  if (!lagged_before) lagged_++;
  if (!peer->all_sent()) return;  // on_all_sent() follows
  subscription.caught_up();
  peer->notify_patiently(subscription.resync(now));
}

void EventFeed::on_all_sent(std::uint64_t client) {
  const auto found = subscribers_.find(client);
  if (found != subscribers_.end() && found->second.subscription.lagging()) hint();
}

void EventFeed::subscribe(const proto::EventsSubscribeParams& params,
                          const Reply<proto::EventsSubscribeResult>& reply) {
  Peer* peer = reply.peer();
  if (!peer) return;
  Result<Subscription> subscription = Subscription::make(params);
  if (!subscription) return reply(subscription.error());
  if (!peer->all_sent()) subscription->begin_behind();
  const proto::EventsSnapshot now = observe_();
  const std::uint64_t client = peer->id();
  subscribers_.erase(client);
  if (subscribers_.empty()) {
    table_.begin(now);
    tick_timer_->start(kCountersGap);
  } else {
    publish(now, EntityTable::Depth::kState);  // the others are told first what is in its snapshot
  }
  reply(subscription->begin(now));
  subscribers_.insert_or_assign(client, Subscriber{peer, *std::move(subscription)});
  peer->on_all_sent([this, client] { on_all_sent(client); });
  if (!present_.contains(client)) peer->keep(std::make_unique<Presence>(*this, client));
}

void EventFeed::unsubscribe(const Reply<proto::Empty>& reply) {
  if (Peer* peer = reply.peer()) remove(peer->id());
  reply(proto::Empty{});
}

void EventFeed::remove(std::uint64_t client) {
  if (subscribers_.erase(client) == 0 || !subscribers_.empty()) return;
  table_.clear();
  next_look_ = Look::kNone;
  gap_timer_->stop();
  tick_timer_->stop();
}

}  // namespace jump
