// Events without sockets: what counts as a change, how changes are numbered, and what becomes of a subscriber
// that does not read. The world is a struct here, the clients are scripts.
#include "control/events.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "proto/event_line.h"
#include "proto/rpc.h"
#include "support/event_replica.h"
#include "support/sim_io.h"

namespace jump {
namespace {

using nlohmann::json;
using proto::EventsSnapshot;
using proto::EventsSubscribeParams;
using test::EventReplica;
using Depth = EntityTable::Depth;

proto::HostStatus host(const std::string& name, const std::string& state = "ready") {
  proto::HostStatus status;
  status.host = name;
  status.state = state;
  return status;
}

proto::ForwardStatus forward(const std::string& id, const std::string& state = "active") {
  proto::ForwardStatus status;
  status.id = id;
  status.state = state;
  status.listen = "127.0.0.1:8080";
  status.target = "svc:80";
  return status;
}

proto::InteractionStatus question(const std::string& id) {
  return {id, "password", "prod", "prod (me@h)", 0, false};
}

// "added host prod", in the order of the changes.
std::vector<std::string> summary(const std::vector<EntityChange>& changes) {
  std::vector<std::string> out;
  for (const EntityChange& each : changes) {
    const json event = json::parse("{" + each.members + "}");
    out.push_back(event["action"].get<std::string>() + " " + event["kind"].get<std::string>() + " " +
                  event["id"].get<std::string>() + (each.counters_only ? " (counters)" : ""));
  }
  return out;
}
using Lines = std::vector<std::string>;

// --- EntityTable ---

TEST(EntityTable, SaysWhatWasAddedChangedAndRemoved) {
  EntityTable table;
  EXPECT_EQ(
      summary(table.update({{host("a"), host("b")}, {forward("f1")}, {}, {question("i1")}}, Depth::kState)),
      (Lines{"added host a", "added host b", "added interaction i1", "added forward f1"}));
  EXPECT_EQ(summary(table.update({{host("a"), host("b", "down")}, {forward("f2"), forward("f3")}, {}, {}},
                                 Depth::kState)),
            (Lines{"changed host b", "removed interaction i1", "removed forward f1", "added forward f2",
                   "added forward f3"}));
  EXPECT_EQ(table.size(), 4u);
}

TEST(EntityTable, SaysNothingOfWhatIsAsItWas) {
  EntityTable table;
  const EventsSnapshot now{{host("a")}, {forward("f1")}, {}, {question("i1")}};
  table.begin(now);
  EXPECT_EQ(summary(table.update(now, Depth::kCounters)), Lines{});
  EXPECT_EQ(summary(table.update({}, Depth::kState)).size(), 3u);
}

// Changes one field after the other, by its name in the protocol, and sorts the names by what comes of it.
template <class Status>
void sort_fields(const Status& base, std::set<std::string>* ages, std::set<std::string>* counters) {
  const json fields = proto::encode(base).value();
  for (json::const_iterator field = fields.begin(); field != fields.end(); ++field) {
    const std::string& name = field.key();
    const json& value = field.value();
    json other = fields;
    if (value.is_number_unsigned()) {
      other[name] = value.get<std::uint64_t>() + 7;
    } else if (value.is_number()) {
      other[name] = value.get<double>() + 7;
    } else if (value.is_boolean()) {
      other[name] = !value.get<bool>();
    } else if (value.is_string()) {
      other[name] = value.get<std::string>() + "x";
    } else {
      continue;  // lists have tests of their own
    }
    const auto changed = proto::decode<Status>(proto::Json(other), "status");
    ASSERT_TRUE(changed) << name;
    const auto in = [](const Status& status) {
      EventsSnapshot all;
      if constexpr (std::is_same_v<Status, proto::HostStatus>) all.hosts = {status};
      if constexpr (std::is_same_v<Status, proto::ForwardStatus>) all.forwards = {status};
      if constexpr (std::is_same_v<Status, proto::InteractionStatus>) all.interactions = {status};
      return all;
    };
    EntityTable table;
    table.begin(in(base));
    const auto at_state = table.update(in(*changed), Depth::kState);
    if (!at_state.empty()) {
      EXPECT_FALSE(at_state.back().counters_only) << name;
      continue;
    }
    const auto at_counters = table.update(in(*changed), Depth::kCounters);
    if (at_counters.empty()) {
      ages->insert(name);
    } else {
      EXPECT_TRUE(at_counters.back().counters_only) << name;
      counters->insert(name);
    }
  }
}

TEST(EntityTable, KnowsAgesAndCountersAndTakesAllElseForState) {
  std::set<std::string> ages, counters;
  proto::HostStatus with_rtt = host("a");
  with_rtt.rtt = 0.5;
  with_rtt.heard_age = with_rtt.unanswered = 1;
  sort_fields(with_rtt, &ages, &counters);
  EXPECT_EQ(ages, (std::set<std::string>{"age", "error_age", "heard_age", "unanswered"}));
  EXPECT_EQ(counters,
            (std::set<std::string>{"answers_owed", "bytes_in", "bytes_out", "channels", "channels_closing",
                                   "channels_opening", "held_in", "lane_logins", "largest_window", "logins",
                                   "opens_refused", "opens_timed_out", "queued_out", "rekeys",
                                   "replies_awaited", "rtt", "signals_refused", "waiting", "window_growths", "window_stalls"}));
  ages.clear(), counters.clear();
  sort_fields(forward("f1"), &ages, &counters);
  EXPECT_EQ(ages, (std::set<std::string>{"age", "error_age"}));
  EXPECT_EQ(counters,
            (std::set<std::string>{"accept_pauses", "bytes_in", "bytes_out", "connections",
                                   "connections_total", "prewarmed", "rate_in", "rate_out", "refused"}));
  ages.clear(), counters.clear();
  sort_fields(question("i1"), &ages, &counters);
  EXPECT_EQ(ages, std::set<std::string>{"age"});
  EXPECT_EQ(counters, std::set<std::string>{});
}

TEST(EntityTable, LooksIntoTheTargetsOfADynamicForward) {
  EntityTable table;
  const auto with = [](const char* error, double age, std::uint64_t refused) {
    proto::ForwardStatus status = forward("f1");
    status.targets = {{"svc:80", error, age, refused}};
    return EventsSnapshot{{}, {status}, {}, {}};
  };
  table.begin(with("refused", 1, 1));
  EXPECT_EQ(summary(table.update(with("refused", 2, 1), Depth::kCounters)), Lines{});
  EXPECT_EQ(summary(table.update(with("refused", 2, 2), Depth::kCounters)),
            Lines{"changed forward f1 (counters)"});
  EXPECT_EQ(summary(table.update(with("no such name", 2, 2), Depth::kState)), Lines{"changed forward f1"});
}

TEST(EntityTable, CountersThatWereNotLookedAtAreNotForgotten) {
  EntityTable table;
  proto::ForwardStatus status = forward("f1");
  table.begin({{}, {status}, {}, {}});
  status.bytes_in = 5;
  EXPECT_EQ(summary(table.update({{}, {status}, {}, {}}, Depth::kState)), Lines{});
  EXPECT_EQ(summary(table.update({{}, {status}, {}, {}}, Depth::kCounters)),
            Lines{"changed forward f1 (counters)"});
}

// --- the line ---

TEST(EventLine, IsTheNotificationWithItsNumber) {
  proto::Event event{7, "forward", "changed", "f1", {}, forward("f1"), {}};
  event.forward->error = "\"quoted\" } and\nmore";
  const std::string line = proto::event_line(7, proto::encode_event_members(event));
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_EQ(json::parse(line), json::parse(proto::encode_notification(proto::notification::kEvent, event)));
}

// --- Subscription ---

EntityChange change(EntityKind kind, const std::string& action = "changed", bool counters_only = false,
                    std::size_t padding = 0) {
  proto::Event event{0, entity_kind_name(kind), action, "x" + std::string(padding, 'x'), {}, {}, {}};
  return {kind, counters_only, proto::encode_event_members(event)};
}

std::vector<std::uint64_t> numbers(const std::string& lines) {
  std::vector<std::uint64_t> found;
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) found.push_back(json::parse(line)["params"]["seq"]);
  return found;
}
using Numbers = std::vector<std::uint64_t>;

Subscription subscription(EventsSubscribeParams params = {}) {
  Result<Subscription> made = Subscription::make(params);
  EXPECT_TRUE(made);
  return *std::move(made);
}

TEST(Subscription, NumbersWhatItTellsFromOne) {
  Subscription all = subscription();
  EXPECT_EQ(all.begin({}).seq, 0u);
  EXPECT_EQ(numbers(all.offer({change(EntityKind::kHost), change(EntityKind::kForward)})), (Numbers{1, 2}));
  EXPECT_EQ(numbers(all.offer({change(EntityKind::kInteraction)})), (Numbers{3}));
}

TEST(Subscription, TellsTheKindsThatWereAskedForAndNumbersThemAlone) {
  Subscription hosts = subscription({{"host", "session"}, false});
  EXPECT_EQ(numbers(hosts.offer({change(EntityKind::kForward), change(EntityKind::kHost),
                                 change(EntityKind::kInteraction), change(EntityKind::kHost)})),
            (Numbers{1, 2}));
  const auto begun = hosts.begin({{host("a")}, {forward("f1")}, {}, {question("i1")}});
  EXPECT_EQ(begun.snapshot.hosts.size(), 1u);
  EXPECT_TRUE(begun.snapshot.forwards.empty());
  EXPECT_TRUE(begun.snapshot.interactions.empty());
}

TEST(Subscription, RefusesAKindThatIsNone) {
  const auto made = Subscription::make({{"host", "forwards"}, false});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::kInvalid);
  EXPECT_NE(made.error().message.find("'forwards'"), std::string::npos);
}

TEST(Subscription, TellsOfCountersToThoseWhoWantThem) {
  const std::vector<EntityChange> changes = {change(EntityKind::kHost, "changed", true),
                                             change(EntityKind::kHost)};
  Subscription without = subscription(), with = subscription({{}, true});
  EXPECT_EQ(numbers(without.offer(changes)), (Numbers{1}));
  EXPECT_EQ(numbers(with.offer(changes)), (Numbers{1, 2}));
}

TEST(Subscription, CountsWhatItDoesNotTellAndAccountsForItInOneLine) {
  Subscription slow = subscription();
  const EntityChange big = change(EntityKind::kHost, "changed", false, Subscription::kMaxBacklog);
  EXPECT_EQ(numbers(slow.offer({big, big})), (Numbers{1, 2})) << "one look, by a client that had read all";
  EXPECT_FALSE(slow.lagging());
  EXPECT_EQ(slow.offer({change(EntityKind::kHost), change(EntityKind::kHost)}), "");
  EXPECT_TRUE(slow.lagging());
  slow.caught_up();
  EXPECT_EQ(slow.offer({change(EntityKind::kHost)}), "") << "nothing is told before the snapshot";
  const json lagged = json::parse(slow.resync({{host("a")}, {}, {}, {}}));
  EXPECT_EQ(lagged["method"], "events.lagged");
  EXPECT_EQ(lagged["params"]["seq"], 5);
  EXPECT_EQ(lagged["params"]["missed"], 3);
  EXPECT_EQ(lagged["params"]["snapshot"]["hosts"][0]["host"], "a");
  EXPECT_FALSE(slow.lagging());
  EXPECT_EQ(numbers(slow.offer({change(EntityKind::kHost)})), (Numbers{6}));
}

TEST(Subscription, WhatWaitsIsBoundedAndWhoReadsIsNeverBehind) {
  Subscription slow = subscription(), quick = subscription();
  std::size_t waits = 0;
  for (int i = 0; i < 100000; ++i) {
    waits += slow.offer({change(EntityKind::kForward)}).size();
    ASSERT_NE(quick.offer({change(EntityKind::kForward)}), "");
    quick.caught_up();
  }
  EXPECT_TRUE(slow.lagging());
  EXPECT_GE(waits, Subscription::kMaxBacklog);
  EXPECT_LT(waits, Subscription::kMaxBacklog + 1000);
}

// --- EventFeed ---

// A client: reads at once, unless it is stuck.
class FakePeer final : public Peer {
 public:
  explicit FakePeer(std::uint64_t number) : id_(number) {}

  std::uint64_t id() const override { return id_; }
  void notify(const std::string&) override { ADD_FAILURE() << "events wait patiently"; }
  void notify_patiently(const std::string& lines) override {
    unread_ += lines;
    most_unread = std::max(most_unread, unread_.size());
    if (!stuck_) read();
  }
  bool all_sent() const override { return unread_.empty(); }
  void on_all_sent(std::function<void()> call) override { all_sent_ = std::move(call); }
  void keep(std::unique_ptr<Operation> operation) override { kept.push_back(std::move(operation)); }
  std::unique_ptr<Operation> stay(std::function<void()>) override { return nullptr; }

  void set_stuck(bool stuck) {
    stuck_ = stuck;
    if (stuck_ || unread_.empty()) return;
    read();
    if (all_sent_) all_sent_();
  }
  void answered(const std::string& line) {
    const json answer = json::parse(line);
    if (answer.contains("error")) {
      error = answer["error"]["message"];
    } else if (answer["result"].contains("seq")) {
      replica = EventReplica{};
      replica.begin(answer["result"]);
    }
  }

  EventReplica replica;
  std::string error;
  std::size_t most_unread = 0;
  std::vector<std::unique_ptr<Operation>> kept;

 private:
  void read() {
    std::istringstream in(std::exchange(unread_, {}));
    for (std::string line; std::getline(in, line);) replica.apply(json::parse(line));
  }

  const std::uint64_t id_;
  bool stuck_ = false;
  std::string unread_;
  std::function<void()> all_sent_;
};

struct FakeSink final : ReplySink {
  explicit FakeSink(FakePeer& client) : to(client) {}
  Peer* peer() override { return &to; }
  void answer(std::string line) override { to.answered(line); }
  void keep(std::unique_ptr<Operation>) override {}
  FakePeer& to;
};

class EventFeedTest : public testing::Test {
 protected:
  std::unique_ptr<FakePeer> make(const EventsSubscribeParams& params = {}) {
    auto peer = std::make_unique<FakePeer>(++last_peer);
    subscribe(*peer, params);
    return peer;
  }
  void subscribe(FakePeer& peer, const EventsSubscribeParams& params = {}) {
    feed.subscribe(params, Reply<proto::EventsSubscribeResult>("1", std::make_shared<FakeSink>(peer)));
  }
  void unsubscribe(FakePeer& peer) {
    feed.unsubscribe(Reply<proto::Empty>("1", std::make_shared<FakeSink>(peer)));
  }
  static void expect_good(const FakePeer& peer) { EXPECT_EQ(peer.replica.problems(), Lines{}); }
  std::string difference(const FakePeer& peer) const {
    return peer.replica.difference(proto::encode(world).value());
  }
  // Long enough for a look that was hinted at, too short for the one at the counters.
  void pass_gap() { io.advance(milliseconds(100)); }

  test::SimIo io;
  EventsSnapshot world;
  int looks = 0;
  EventFeed feed{io, [this] {
                   ++looks;
                   return world;
                 }};
  std::uint64_t last_peer = 0;
};

TEST_F(EventFeedTest, DoesNothingWithoutSubscribers) {
  for (int i = 0; i < 100; ++i) {
    feed.hint();
    io.advance(seconds(2));
  }
  EXPECT_EQ(looks, 0);
}

TEST_F(EventFeedTest, GivesTheSnapshotThenEachChange) {
  world.hosts = {host("prod", "connecting")};
  auto peer = make();
  EXPECT_EQ(peer->replica.host_state("prod"), "connecting");
  EXPECT_EQ(peer->replica.seq(), 0u);
  world.hosts[0].state = "ready";
  world.forwards = {forward("f1")};
  feed.hint();
  pass_gap();
  EXPECT_EQ(peer->replica.host_state("prod"), "ready");
  EXPECT_EQ(peer->replica.forward_state("f1"), "active");
  world.forwards.clear();
  feed.hint();
  pass_gap();
  EXPECT_EQ(peer->replica.seq(), 3u);
  EXPECT_EQ(peer->replica.history(), (Lines{"host prod ready", "forward f1 active", "forward f1 removed"}));
  expect_good(*peer);
}

TEST_F(EventFeedTest, LooksOnceForManyHintsAndNotAgainBeforeTheGapIsOver) {
  auto peer = make();
  looks = 0;
  io.advance(milliseconds(100));
  for (int i = 0; i < 1000; ++i) feed.hint();
  io.settle();
  EXPECT_EQ(looks, 1);
  for (int i = 0; i < 1000; ++i) feed.hint();
  io.advance(EventFeed::kGap - milliseconds(1));
  EXPECT_EQ(looks, 1);
  io.advance(milliseconds(1));
  EXPECT_EQ(looks, 2);
}

TEST_F(EventFeedTest, LooksMoreRarelyAtVeryMuch) {
  for (int i = 0; i < 4000; ++i) world.forwards.push_back(forward("f" + std::to_string(i)));
  auto peer = make({{"host"}, false});
  feed.hint();
  pass_gap();
  looks = 0;
  for (int i = 0; i < 500; ++i) {
    feed.hint();
    io.advance(milliseconds(1));
  }
  EXPECT_GE(looks, 4);
  EXPECT_LE(looks, 6);
}

TEST_F(EventFeedTest, SeesWithinASecondWhatNobodyHintedAt) {
  auto peer = make();
  world.hosts = {host("prod")};
  io.advance(EventFeed::kCountersGap);
  EXPECT_EQ(peer->replica.host_state("prod"), "ready");
}

TEST_F(EventFeedTest, TellsOfCountersOnceASecondAndOnlyWhenTheyMove) {
  world.forwards = {forward("f1")};
  auto counting = make({{}, true}), other = make();
  for (int i = 0; i < 100; ++i) {
    world.forwards[0].bytes_in += 1000;
    world.forwards[0].age += 0.05;
    feed.hint();
    io.advance(milliseconds(50));
  }
  EXPECT_EQ(counting->replica.events(), 5u);
  EXPECT_EQ(counting->replica.forwards().at("f1")["bytes_in"], 100000);
  EXPECT_EQ(other->replica.events(), 0u);
  io.advance(seconds(5));
  EXPECT_EQ(counting->replica.events(), 5u);
  world.forwards[0].state = "waiting";
  feed.hint();
  pass_gap();
  EXPECT_EQ(other->replica.forwards().at("f1")["bytes_in"], 100000) << "an event holds all of its entity";
  expect_good(*counting);
  expect_good(*other);
}

TEST_F(EventFeedTest, ANewcomersSnapshotDoesNotTakeAChangeFromTheOthers) {
  auto first = make();
  world.hosts = {host("prod")};
  auto second = make();
  pass_gap();
  EXPECT_EQ(difference(*first), "");
  EXPECT_EQ(difference(*second), "");
  EXPECT_EQ(first->replica.events(), 1u);
  EXPECT_EQ(second->replica.events(), 0u);
}

TEST_F(EventFeedTest, ASecondSubscriptionReplacesTheFirst) {
  auto peer = make();
  subscribe(*peer, {{"host"}, false});
  EXPECT_EQ(feed.subscribers(), 1u);
  EXPECT_EQ(peer->kept.size(), 1u) << "what a client keeps does not grow with its requests";
  world.hosts = {host("prod")};
  world.forwards = {forward("f1")};
  feed.hint();
  pass_gap();
  EXPECT_EQ(peer->replica.history(), Lines{"host prod ready"});
  expect_good(*peer);
}

TEST_F(EventFeedTest, AWrongKindIsRefusedAndTheFormerSubscriptionStays) {
  auto peer = make();
  subscribe(*peer, {{"nonsense"}, false});
  EXPECT_NE(peer->error.find("nonsense"), std::string::npos);
  world.hosts = {host("prod")};
  feed.hint();
  pass_gap();
  EXPECT_EQ(difference(*peer), "");
}

TEST_F(EventFeedTest, WhoUnsubscribesOrGoesIsToldNothingMoreAndNobodyLooksThen) {
  auto first = make(), second = make();
  unsubscribe(*first);
  second->kept.clear();
  EXPECT_EQ(feed.subscribers(), 0u);
  looks = 0;
  world.hosts = {host("prod")};
  feed.hint();
  io.advance(seconds(10));
  EXPECT_EQ(looks, 0);
  EXPECT_EQ(first->replica.events() + second->replica.events(), 0u);
  subscribe(*first);
  EXPECT_EQ(difference(*first), "");
}

TEST_F(EventFeedTest, AHintMadeForSomebodyWhoHasGoneIsForgotten) {
  auto peer = make();
  pass_gap();
  feed.hint();
  peer->kept.clear();
  looks = 0;
  io.advance(seconds(5));
  EXPECT_EQ(looks, 0);
}

TEST_F(EventFeedTest, WhoDoesNotReadLagsAndBeginsAnewWhileOthersGoOn) {
  world.hosts = {host("prod")};
  auto slow = make(), quick = make();
  slow->set_stuck(true);
  for (int i = 0; i < 5000; ++i) {
    world.hosts[0].error = "failure number " + std::to_string(i);
    feed.hint();
    io.advance(milliseconds(25));
  }
  EXPECT_EQ(quick->replica.events(), 5000u);
  EXPECT_EQ(quick->replica.lagged(), 0u);
  EXPECT_EQ(feed.lagged(), 1u);
  EXPECT_LT(slow->most_unread, Subscription::kMaxBacklog + 4096);
  slow->set_stuck(false);
  pass_gap();
  EXPECT_EQ(slow->replica.lagged(), 1u);
  EXPECT_EQ(slow->replica.events() + slow->replica.missed(), 5000u);
  EXPECT_EQ(difference(*slow), "");
  world.hosts[0].state = "down";
  feed.hint();
  pass_gap();
  EXPECT_EQ(slow->replica.host_state("prod"), "down");
  EXPECT_EQ(slow->replica.lagged(), 1u);
  expect_good(*slow);
  expect_good(*quick);
}

TEST_F(EventFeedTest, WhoSubscribesAgainAndAgainWithoutReadingGetsNoMoreThanOneBacklog) {
  world.hosts = {host("prod")};
  auto greedy = make();
  greedy->set_stuck(true);
  for (int i = 0; i < 3000; ++i) {
    if (i % 500 == 0) subscribe(*greedy);
    world.hosts[0].error = "failure number " + std::to_string(i);
    feed.hint();
    io.advance(milliseconds(25));
  }
  EXPECT_LT(greedy->most_unread, Subscription::kMaxBacklog + 4096);
  EXPECT_GT(greedy->most_unread, 0u);
}

// Whatever happens and whoever reads when: what was told comes to what is.
TEST_F(EventFeedTest, WhatWasToldAlwaysComesToWhatIs) {
  std::mt19937 random(20260101);
  const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  static constexpr const char* kStates[] = {"idle", "connecting", "ready", "down", "waiting_user"};
  std::vector<std::unique_ptr<FakePeer>> peers;
  for (int i = 0; i < 4; ++i) peers.push_back(make());
  int next = 0;
  for (int step = 0; step < 20000; ++step) {
    auto& hosts = world.hosts;
    auto& forwards = world.forwards;
    switch (below(8)) {
      case 0:
        if (hosts.size() < 20) hosts.push_back(host("h" + std::to_string(++next)));
        break;
      case 1:
        if (!hosts.empty()) hosts[below(hosts.size())].state = kStates[below(5)];
        break;
      case 2:
        if (forwards.size() < 60) forwards.push_back(forward("f" + std::to_string(++next)));
        break;
      case 3:
        if (!forwards.empty())
          forwards.erase(forwards.begin() + static_cast<std::ptrdiff_t>(below(forwards.size())));
        break;
      case 4:
        if (!forwards.empty())
          forwards[below(forwards.size())].error = std::string(3000, 'e') + std::to_string(++next);
        break;
      case 5:
        world.interactions.assign(below(3), question("i" + std::to_string(below(2))));
        if (world.interactions.size() == 2) world.interactions[1].id += "b";
        break;
      case 6:
        peers[below(peers.size())]->set_stuck(below(20) != 0);
        break;
      default:
        io.advance(milliseconds(below(60)));
    }
    feed.hint();
  }
  for (auto& peer : peers) peer->set_stuck(false);
  pass_gap();
  std::uint64_t lagged = 0;
  for (auto& peer : peers) {
    EXPECT_EQ(difference(*peer), "");
    EXPECT_GT(peer->replica.events(), 100u);
    lagged += peer->replica.lagged();
    expect_good(*peer);
  }
  EXPECT_GT(lagged, 0u) << "a test that does not test what it says";
}

}  // namespace
}  // namespace jump
