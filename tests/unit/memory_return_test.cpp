// When free memory is worth giving back: much of it, used since the last time, and nothing going on.
#include "loop/memory_return.h"

#include <gtest/gtest.h>

namespace jump {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(FreeGauge, LittleIsKept) {
  FreeGauge gauge;
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(gauge.look(FreeGauge::kWorth - 1));
}

TEST(FreeGauge, MuchGoesBackOnceItRests) {
  FreeGauge gauge;
  EXPECT_FALSE(gauge.look(20 * kMiB));
  EXPECT_FALSE(gauge.look(60 * kMiB));
  EXPECT_TRUE(gauge.look(60 * kMiB));
}

TEST(FreeGauge, WhatWentBackDoesNotGoAgain) {
  FreeGauge gauge;
  gauge.look(60 * kMiB);
  ASSERT_TRUE(gauge.look(60 * kMiB));
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(gauge.look(60 * kMiB));
}

TEST(FreeGauge, WhatWasInUseSinceDoes) {
  FreeGauge gauge;
  gauge.look(60 * kMiB);
  ASSERT_TRUE(gauge.look(60 * kMiB));
  EXPECT_FALSE(gauge.look(10 * kMiB));
  EXPECT_FALSE(gauge.look(60 * kMiB));
  EXPECT_TRUE(gauge.look(60 * kMiB));
}

}  // namespace
}  // namespace jump
