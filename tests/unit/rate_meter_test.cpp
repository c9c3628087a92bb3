// Bytes per second: right for a steady flow, quick to follow, and silent when nothing moves.
#include "forward/rate_meter.h"

#include <gtest/gtest.h>

namespace jump {
namespace {

const TimePoint kStart = TimePoint{} + seconds(100);

TEST(RateMeter, TheFirstSampleIsOnlyABeginning) {
  RateMeter meter;
  meter.sample(1'000'000, kStart);
  EXPECT_EQ(meter.per_second(), 0);
}

TEST(RateMeter, ASteadyFlowShowsAsWhatItIs) {
  RateMeter meter;
  for (int i = 0; i <= 20; ++i) meter.sample(static_cast<std::uint64_t>(i) * 5000, kStart + seconds(i));
  EXPECT_NEAR(meter.per_second(), 5000, 5);
}

TEST(RateMeter, AChangeShowsToTwoThirdsAfterTheSmoothingTime) {
  RateMeter meter;
  meter.sample(0, kStart);
  meter.sample(1000, kStart + seconds(1));
  meter.sample(2000, kStart + seconds(2));
  EXPECT_NEAR(meter.per_second(), 632, 5);
}

TEST(RateMeter, HowOftenItIsSampledDoesNotMatter) {
  RateMeter coarse, fine;
  for (int i = 0; i <= 4; ++i) coarse.sample(static_cast<std::uint64_t>(i) * 1000, kStart + seconds(i));
  for (int i = 0; i <= 40; ++i)
    fine.sample(static_cast<std::uint64_t>(i) * 100, kStart + milliseconds(100 * i));
  EXPECT_NEAR(coarse.per_second(), fine.per_second(), 1);
}

TEST(RateMeter, AFlowThatStopsFallsToZeroAndNotToAFraction) {
  RateMeter meter;
  meter.sample(0, kStart);
  meter.sample(1'000'000, kStart + seconds(1));
  EXPECT_GT(meter.per_second(), 0);
  for (int i = 2; i <= 60; ++i) meter.sample(1'000'000, kStart + seconds(i));
  EXPECT_EQ(meter.per_second(), 0);
}

TEST(RateMeter, TwoSamplesAtOnceAreNoDivisionByZero) {
  RateMeter meter;
  meter.sample(0, kStart);
  meter.sample(0, kStart);
  EXPECT_EQ(meter.per_second(), 0);
}

}  // namespace
}  // namespace jump
