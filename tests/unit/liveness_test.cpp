#include "hop/liveness.h"

#include <gtest/gtest.h>

#include "base/backoff.h"
#include "loop/sleep_watch.h"

namespace jump {
namespace {

using Verdict = Liveness::Verdict;
const TimePoint kStart{std::chrono::hours(1)};

const Delivery kArrived{.sent = 100, .acknowledged = 100};

// Runs the clock to `until` as its owner does; the first verdict but kWell, and when it came.
struct Outcome {
  Verdict verdict = Verdict::kWell;
  Duration after{};
};
Outcome run(Liveness& liveness, TimePoint until) {
  while (liveness.next_tick() <= until) {
    const TimePoint now = std::max(liveness.next_tick(), kStart);
    const Verdict verdict = liveness.tick(now);
    if (verdict != Verdict::kWell) return {verdict, now - kStart};
  }
  return {};
}

// Asks a suspect as often as it is to be asked. When it was dead.
TimePoint ask_until_dead(Liveness& liveness, const Delivery& delivery) {
  for (int i = 0; i < 100; ++i) {
    const TimePoint now = liveness.next_tick();
    if (liveness.tick(now) == Verdict::kDead) return now;
    liveness.asks(now, delivery);
  }
  return {};
}

TEST(Liveness, AsksAfterAQuietIntervalAndNoSooner) {
  Liveness liveness(Duration::zero(), 3);
  liveness.heard(kStart);
  EXPECT_EQ(liveness.tick(kStart + Liveness::kInterval - milliseconds(1)), Verdict::kWell);
  EXPECT_EQ(liveness.tick(kStart + Liveness::kInterval), Verdict::kAsk);
}

TEST(Liveness, AServerThatAnswersIsAskedForEver) {
  Liveness liveness(Duration::zero(), 3);
  liveness.heard(kStart);
  TimePoint now = kStart;
  for (int i = 0; i < 1000; ++i) {
    now = liveness.next_tick();
    ASSERT_EQ(liveness.tick(now), Verdict::kAsk);
    liveness.heard(now + milliseconds(40));
  }
  EXPECT_EQ(now - kStart, 999 * (Liveness::kInterval + milliseconds(40)) + Liveness::kInterval);
}

TEST(Liveness, ASilentServerIsDeadWithinIntervalAndPatience) {
  Liveness liveness(Duration::zero(), 3);
  liveness.heard(kStart);
  EXPECT_EQ(run(liveness, kStart + seconds(60)).verdict, Verdict::kAsk);
  const Outcome end = run(liveness, kStart + seconds(60));
  EXPECT_EQ(end.verdict, Verdict::kDead);
  EXPECT_EQ(end.after, Liveness::kInterval + Liveness::kPatience);
}

TEST(Liveness, ASuspectWhosePathLivesHasTheUsualTime) {
  Liveness liveness(Duration::zero(), 3);
  liveness.heard(kStart);
  liveness.suspect(kStart + seconds(5));
  EXPECT_EQ(run(liveness, kStart + seconds(60)).verdict, Verdict::kAsk);
  const Outcome suspected = run(liveness, kStart + seconds(60));
  EXPECT_EQ(suspected.verdict, Verdict::kDead);
  EXPECT_EQ(suspected.after, seconds(5) + Liveness::kSuspectPatience);
  EXPECT_TRUE(liveness.path_lives(kStart + suspected.after, kArrived));
  const Outcome end = run(liveness, kStart + seconds(60));
  EXPECT_EQ(end.verdict, Verdict::kDead);
  EXPECT_EQ(end.after, liveness.bound());
  EXPECT_FALSE(liveness.path_lives(kStart + end.after, kArrived)) << "it has had it";
}

TEST(Liveness, ASuspectWhosePathLivesIsJudgedAgainAfterAFurtherSuspicion) {
  Liveness liveness(Duration::zero(), 3);
  liveness.heard(kStart);
  liveness.suspect(kStart + seconds(5));
  ASSERT_EQ(run(liveness, kStart + seconds(60)).verdict, Verdict::kAsk);
  liveness.suspect(kStart + seconds(7));
  ASSERT_EQ(liveness.tick(kStart + seconds(7)), Verdict::kAsk);
  const TimePoint first = kStart + seconds(5) + Liveness::kSuspectPatience;
  ASSERT_EQ(liveness.tick(first), Verdict::kDead);
  EXPECT_TRUE(liveness.path_lives(first, kArrived));
  const Outcome again = run(liveness, kStart + seconds(60));
  EXPECT_EQ(again.verdict, Verdict::kDead);
  EXPECT_EQ(again.after, seconds(7) + Liveness::kSuspectPatience);
}

// It had left the other machine before the path broke.
TEST(Liveness, WhatASuspectSaysEndsTheSuspicionOnlyIfItsMachineTakesWhatIsSentNow) {
  Liveness liveness(Duration::zero(), 3);
  liveness.heard(kStart);
  liveness.suspect(kStart + seconds(5));
  ASSERT_EQ(liveness.tick(kStart + seconds(5)), Verdict::kAsk);
  liveness.asks(kStart + seconds(5), {.sent = 100, .acknowledged = 50, .owed = true});
  liveness.heard(kStart + seconds(6), {.sent = 140, .acknowledged = 100, .owed = true});
  EXPECT_TRUE(liveness.suspected());
  EXPECT_EQ(liveness.last_heard(), kStart + seconds(6));
  const TimePoint end = kStart + seconds(5) + Liveness::kSuspectPatience;
  EXPECT_EQ(ask_until_dead(liveness, {.sent = 140, .acknowledged = 100, .owed = true}), end);
  EXPECT_FALSE(liveness.path_lives(end, {.sent = 140, .acknowledged = 100, .owed = true}));
  EXPECT_TRUE(liveness.path_lives(end, {.sent = 140, .acknowledged = 100, .owed = true, .stalled = true}));
  liveness.heard(end, {.sent = 140, .acknowledged = 101, .owed = true});
  EXPECT_FALSE(liveness.suspected());
}

// One packet that gets through is enough, and none of before the suspicion counts.
TEST(Liveness, ASuspectIsAskedAgainWhileItIsSuspected) {
  Liveness liveness(Duration::zero(), 3);
  liveness.heard(kStart);
  liveness.suspect(kStart);
  ASSERT_EQ(liveness.tick(kStart), Verdict::kAsk);
  liveness.asks(kStart, {.sent = 100, .acknowledged = 99, .owed = true});
  EXPECT_EQ(liveness.next_tick(), kStart + Liveness::kAskAgain);
  ASSERT_EQ(liveness.tick(kStart + Liveness::kAskAgain), Verdict::kAsk);
  liveness.asks(kStart + Liveness::kAskAgain, {.sent = 101, .acknowledged = 100, .owed = true});
  liveness.heard(kStart + seconds(1), {.sent = 102, .acknowledged = 101, .owed = true});
  EXPECT_FALSE(liveness.suspected());
  EXPECT_EQ(liveness.next_tick(), kStart + seconds(1) + Liveness::kInterval);
}

// A path that loses much: what is sent takes its tries, and what is heard is no leftover any more.
TEST(Liveness, ASuspectThatGoesOnToSpeakIsJudgedAgain) {
  Liveness liveness(Duration::zero(), 3);
  const Delivery lost{.sent = 140, .acknowledged = 100, .owed = true};
  liveness.heard(kStart);
  liveness.suspect(kStart);
  ASSERT_EQ(liveness.tick(kStart), Verdict::kAsk);
  liveness.asks(kStart, {.sent = 100, .acknowledged = 100});
  liveness.heard(kStart + milliseconds(2100), lost);
  const TimePoint first = kStart + Liveness::kSuspectPatience, second = first + Liveness::kSuspectPatience;
  EXPECT_EQ(ask_until_dead(liveness, lost), first);
  EXPECT_TRUE(liveness.path_lives(first, lost));
  EXPECT_EQ(ask_until_dead(liveness, lost), second);
  EXPECT_FALSE(liveness.path_lives(second, lost)) << "it has spoken no more";
}

// Changes that come faster than acknowledgements: each verdict goes by what was sent at its own suspicion.
TEST(Liveness, ASuspectIsNotAskedForWhatWasSentAMomentAgo) {
  Liveness liveness(Duration::zero(), 3);
  liveness.heard(kStart);
  std::uint32_t sent = 0;
  int verdicts = 0;
  for (TimePoint now = kStart; now < kStart + seconds(10); now += milliseconds(20)) {
    while (liveness.next_tick() <= now) {
      const std::uint32_t under_way = std::min<std::uint32_t>(sent, 10);
      const Delivery delivery{.sent = sent, .acknowledged = sent - under_way, .owed = under_way > 0};
      const Verdict verdict = liveness.tick(now);
      if (verdict == Verdict::kAsk) liveness.asks(now, delivery);
      if (verdict != Verdict::kDead) continue;
      ++verdicts;
      ASSERT_TRUE(liveness.path_lives(now, delivery)) << to_seconds(now - kStart);
    }
    liveness.suspect(now);
    ++sent;
  }
  EXPECT_EQ(verdicts, 4);
}

TEST(Liveness, SshsOptionsSetBoth) {
  Liveness liveness(seconds(5), 4);
  liveness.heard(kStart);
  EXPECT_EQ(run(liveness, kStart + seconds(60)).after, seconds(5));
  EXPECT_EQ(run(liveness, kStart + seconds(60)).after, seconds(25));
}

TEST(Liveness, SomebodyWhoWaitsIsWorthAnEarlierQuestion) {
  Liveness liveness(Duration::zero(), 3);
  liveness.heard(kStart);
  liveness.spoke(kStart + seconds(1));
  liveness.spoke(kStart + seconds(2));
  const Outcome asked = run(liveness, kStart + seconds(60));
  EXPECT_EQ(asked.verdict, Verdict::kAsk);
  EXPECT_EQ(asked.after, seconds(1) + Liveness::kWaitingInterval);
}

TEST(Liveness, WhatWasAnsweredIsNotWaitedFor) {
  Liveness liveness(Duration::zero(), 3);
  liveness.heard(kStart);
  liveness.spoke(kStart + seconds(1));
  liveness.heard(kStart + seconds(2));
  EXPECT_EQ(run(liveness, kStart + seconds(60)).after, seconds(2) + Liveness::kInterval);
}

TEST(Liveness, SuspicionAsksAtOnceAndHasLittlePatience) {
  Liveness liveness(Duration::zero(), 3);
  liveness.heard(kStart);
  liveness.suspect(kStart + seconds(1));
  Outcome outcome = run(liveness, kStart + seconds(60));
  EXPECT_EQ(outcome.verdict, Verdict::kAsk);
  EXPECT_EQ(outcome.after, seconds(1));
  outcome = run(liveness, kStart + seconds(60));
  EXPECT_EQ(outcome.verdict, Verdict::kDead);
  EXPECT_EQ(outcome.after, seconds(1) + Liveness::kSuspectPatience);
}

TEST(Liveness, SuspicionCutsTheWaitForAnOlderQuestionShort) {
  Liveness liveness(Duration::zero(), 3);
  liveness.heard(kStart);
  ASSERT_EQ(liveness.tick(kStart + Liveness::kInterval), Verdict::kAsk);
  liveness.suspect(kStart + Liveness::kInterval + seconds(1));
  run(liveness, kStart + seconds(60));
  const Outcome end = run(liveness, kStart + seconds(60));
  EXPECT_EQ(end.verdict, Verdict::kDead);
  EXPECT_EQ(end.after, Liveness::kInterval + seconds(1) + Liveness::kSuspectPatience);
}

TEST(Liveness, ASlowPathIsGivenItsOwnTime) {
  Liveness liveness(Duration::zero(), 3);
  liveness.heard(kStart);
  liveness.suspect(kStart, seconds(2));
  ASSERT_EQ(run(liveness, kStart + seconds(60)).verdict, Verdict::kAsk);
  EXPECT_EQ(run(liveness, kStart + seconds(60)).after, Liveness::kSuspectRoundTrips * seconds(2));
}

TEST(Liveness, SuspicionThatIsAnsweredIsForgotten) {
  Liveness liveness(Duration::zero(), 3);
  liveness.heard(kStart);
  liveness.suspect(kStart);
  ASSERT_EQ(liveness.tick(kStart), Verdict::kAsk);
  liveness.heard(kStart + milliseconds(100));
  EXPECT_EQ(run(liveness, kStart + seconds(60)).after, milliseconds(100) + Liveness::kInterval);
}

// What came while the process was stopped is not read yet.
TEST(Liveness, AProcessThatWasStoppedAsksAgainBeforeItJudges) {
  Liveness liveness(Duration::zero(), 3);
  liveness.heard(kStart);
  ASSERT_EQ(liveness.tick(kStart + Liveness::kInterval), Verdict::kAsk);
  const TimePoint continued = kStart + seconds(100);
  EXPECT_EQ(liveness.tick(continued), Verdict::kAsk);
  EXPECT_EQ(liveness.next_tick(), continued + Liveness::kSuspectPatience);
  EXPECT_EQ(liveness.tick(liveness.next_tick()), Verdict::kDead);
}

TEST(Backoff, DoublesWithinItsBoundsAndStartsAnew) {
  Backoff backoff(7);
  Duration whole = Backoff::kFirst;
  for (int i = 0; i < 40; ++i) {
    const Duration pause = backoff.next();
    EXPECT_GE(pause, whole / 2) << i;
    EXPECT_LE(pause, whole) << i;
    whole = std::min(2 * whole, Backoff::kLongest);
  }
  backoff.reset();
  EXPECT_LE(backoff.next(), Backoff::kFirst);
}

TEST(Backoff, DiffersFromAgentToAgent) {
  Backoff one(1), other(2);
  int same = 0;
  for (int i = 0; i < 20; ++i) same += one.next() == other.next();
  EXPECT_LT(same, 5);
}

TEST(SleepGauge, NoticesASuspendedMachine) {
  SleepGauge gauge;
  EXPECT_EQ(gauge.look(kStart, seconds(50), seconds(1)), Duration::zero());
  EXPECT_EQ(gauge.look(kStart + seconds(1), seconds(50), seconds(1)), Duration::zero());
  EXPECT_EQ(gauge.look(kStart + seconds(2), seconds(650), seconds(1)), seconds(600));
  EXPECT_EQ(gauge.look(kStart + seconds(3), seconds(650), seconds(1)), Duration::zero());
}

TEST(SleepGauge, NoticesAStoppedProcess) {
  SleepGauge gauge;
  gauge.look(kStart, {}, seconds(1));
  EXPECT_EQ(gauge.look(kStart + seconds(3), {}, seconds(1)), Duration::zero()) << "a busy machine";
  EXPECT_EQ(gauge.look(kStart + seconds(64), {}, seconds(1)), seconds(60));
}

}  // namespace
}  // namespace jump
