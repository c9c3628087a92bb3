// EventFeed: tells clients that subscribed what changes, as it does.
//
//   hosts, forwards, questions ─► hint() ─► look at all, once for many hints ─► EntityTable: changes
//                                                                   ─► each Subscription ─► its client
//
// Whoever changes something says only that there is something to see. What it is comes from looking, so a
// forgotten hint costs no event: it is then a second late, by the look that is taken for the counters.
// A client that does not read is told nothing further, and begins anew with a snapshot once it has read.
//
// Invariants: without a subscriber nothing is done and nothing is kept; what a subscriber was told, applied
// in order, is the state that was last looked at; what waits for a client is bounded, whatever happens; it is
// not cut off for being slow here.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "control/dispatcher.h"
#include "control/entity_table.h"
#include "control/subscription.h"
#include "proto/messages.h"
#include "stream/io.h"

namespace jump {

class EventFeed {
 public:
  // Between two looks: a person's "at once", and a burst of changes is looked at once. With very many
  // entities looks are rarer, so that they take a few percent of the time at most.
  static constexpr Duration kGap = milliseconds(20);
  static constexpr Duration kGapPerEntity = std::chrono::microseconds(20);
  // Between two looks at counters and rates, as long as there are subscribers.
  static constexpr Duration kCountersGap = seconds(1);

  // `observe` tells how everything is; it is called from the loop, or from subscribe().
  using Observe = std::function<proto::EventsSnapshot()>;
  EventFeed(Io& io, Observe observe);
  ~EventFeed();
  EventFeed(const EventFeed&) = delete;
  EventFeed& operator=(const EventFeed&) = delete;

  // Something may be different now. May be called from anywhere, as often as one likes.
  void hint();

  // The requests. A new subscription of a client replaces its former one.
  void subscribe(const proto::EventsSubscribeParams& params,
                 const Reply<proto::EventsSubscribeResult>& reply);
  void unsubscribe(const Reply<proto::Empty>& reply);

  std::size_t subscribers() const { return subscribers_.size(); }
  std::uint64_t lagged() const { return lagged_; }  // times that one fell behind

 private:
  class Presence;
  struct Subscriber {
    Peer* peer;  // good until its Presence ends
    Subscription subscription;
  };
  enum class Look { kNone, kSoon, kWaits };  // the next one: none is due, it is deferred, its gap has to pass

  void look();
  void publish(const proto::EventsSnapshot& now, EntityTable::Depth depth);
  void tell(Subscriber& subscriber, const std::vector<EntityChange>& changes,
            const proto::EventsSnapshot& now);
  void on_tick();
  void on_all_sent(std::uint64_t client);
  void remove(std::uint64_t client);

  Io& io_;
  const Observe observe_;
  std::unique_ptr<Deferred> soon_;
  std::unique_ptr<Timer> gap_timer_;
  std::unique_ptr<Timer> tick_timer_;
  Look next_look_ = Look::kNone;
  TimePoint earliest_ = kLongAgo;  // the next look
  EntityTable table_;
  std::map<std::uint64_t, Subscriber> subscribers_;  // by Peer::id()
  std::set<std::uint64_t> present_;                  // clients that keep a Presence: they subscribed once
  std::uint64_t lagged_ = 0;
};

}  // namespace jump
