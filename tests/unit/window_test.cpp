// How windows grow, what the budget gives, and how bulk is held back.
#include <gtest/gtest.h>

#include "channel/bulk_governor.h"
#include "channel/round_trip.h"
#include "channel/window_budget.h"

namespace jump {
namespace {

TimePoint at(double s) {
  return TimePoint() + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}
Duration ms(double m) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(m));
}

// A path that was cut, or a process that was stopped: what is answered afterwards is no measure of either.
TEST(RoundTrip, OneAnswerThatIsFarTooLateIsLeftOutAndTwoAreBelieved) {
  RoundTrip trip;
  TimePoint now{};
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(trip.add(milliseconds(20), now += seconds(1)));
  EXPECT_FALSE(trip.add(seconds(20), now += seconds(20)));
  EXPECT_EQ(trip.smoothed(), milliseconds(20));
  EXPECT_EQ(trip.last(), milliseconds(20));
  EXPECT_TRUE(trip.add(milliseconds(21), now += seconds(1)));
  EXPECT_FALSE(trip.add(seconds(3), now += seconds(3)));
  EXPECT_TRUE(trip.add(seconds(3), now += seconds(3))) << "the path has become that slow";
  EXPECT_GT(trip.smoothed(), milliseconds(300));
  EXPECT_TRUE(RoundTrip().add(seconds(30), now)) << "nothing is known that it could be later than";
}

TEST(RoundTrip, BaseIsTheLeastOfTheLastTwentySecondsAndForgets) {
  RoundTrip trip;
  EXPECT_FALSE(trip.known());
  trip.add(ms(40), at(100));
  trip.add(ms(90), at(101));
  EXPECT_EQ(trip.base(), ms(40));
  EXPECT_EQ(trip.last(), ms(90));
  trip.add(ms(70), at(111));
  EXPECT_EQ(trip.base(), ms(40));
  trip.add(ms(80), at(122));
  EXPECT_EQ(trip.base(), ms(70)) << "the path may have become longer";
}

TEST(WindowBudget, FewChannelsGetMuchAndManyGetLittle) {
  WindowBudget budget(512 * 1024 * 1024);
  EXPECT_EQ(budget.initial_window(), WindowBudget::kInitialMax);
  EXPECT_EQ(budget.growth_limit(), WindowBudget::kWindowMax);
  for (int i = 0; i < 10000; ++i) budget.channel_opened();
  EXPECT_EQ(budget.initial_window(), WindowBudget::kInitialMin);
  for (int i = 0; i < 10000; ++i) budget.channel_ended();
  EXPECT_EQ(budget.initial_window(), WindowBudget::kInitialMax);
}

TEST(WindowBudget, WhatIsHeldForSlowReadersCountsAgainstGrowth) {
  WindowBudget budget(64 * 1024 * 1024);
  std::uint32_t before = budget.growth_limit();
  budget.held(60 * 1024 * 1024);
  EXPECT_LT(budget.growth_limit(), before / 4);
  EXPECT_LT(budget.initial_window(), WindowBudget::kInitialMax + 1);
  budget.held(60 * 1024 * 1024);
  EXPECT_EQ(budget.growth_limit(), WindowBudget::kInitialMin);
  budget.released(120 * 1024 * 1024);
  EXPECT_EQ(budget.growth_limit(), before);
}

// A bottleneck: `rate` bytes per second, `base` seconds of round trip, a queue as long as the window makes
// it.
struct Path {
  double rate, base;
  double round_trip(double window) const { return std::max(base, window / rate); }
  double delivered(double window) const { return std::min(window, rate * round_trip(window)); }
};

double settle(const Path& path, double start, int steps) {
  BulkGovernor governor;
  governor.start(start);
  for (int i = 0; i < steps; ++i) {
    double window = governor.window();
    governor.on_round_trip(ms(1000 * path.round_trip(window)), ms(1000 * path.base), path.delivered(window));
  }
  return governor.window();
}

TEST(BulkGovernor, FillsThePathAndKeepsTheQueueShortWhereverItBegins) {
  for (Path path : {Path{12.5e6, 0.040}, Path{125e6, 0.010}, Path{1.25e6, 0.200}, Path{50e6, 0.1}}) {
    for (double start : {64e3, 2e6, 16e6}) {
      double window = settle(path, start, 100);
      double product = path.rate * path.base;
      EXPECT_GE(window, product) << path.rate << " " << path.base << " from " << start
                                 << ": the path is not full";
      EXPECT_LE(path.round_trip(window), 1.25 * path.base)
          << path.rate << " " << path.base << " from " << start;
    }
  }
}

TEST(BulkGovernor, FindsAShortQueueWithinTwentyRoundTrips) {
  Path path{12.5e6, 0.040};
  EXPECT_LE(path.round_trip(settle(path, 2e6, 20)), 1.3 * path.base);
  EXPECT_GE(settle(path, 128e3, 20), 0.95 * path.rate * path.base);
}

TEST(BulkGovernor, StaysWithinItsBounds) {
  EXPECT_GE(settle(Path{1000, 0.5}, 1e6, 200), BulkGovernor::kMin);
  EXPECT_LE(settle(Path{1e12, 0.5}, 1e6, 200), BulkGovernor::kMax);
}

}  // namespace
}  // namespace jump
