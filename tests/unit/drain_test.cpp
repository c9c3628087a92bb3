// What the end of an agent waits for, and for how long.
#include "drain.h"

#include <gtest/gtest.h>

#include <optional>

#include "support/sim_io.h"

namespace jump {
namespace {

struct Scene {
  test::SimIo io;
  Drain::Load load;
  int done = 0;
  std::optional<Drain> drain;

  void begin(Drain::Idle idle, Duration limit) {
    drain.emplace(
        io, [this] { return load; }, idle, limit, [this] { ++done; });
  }
  // `bytes` each 100 ms.
  void pass(Duration time, std::uint64_t bytes = 0) {
    for (Duration gone{}; gone < time; gone += milliseconds(100)) {
      load.moved += bytes;
      io.advance(milliseconds(100));
    }
  }
};

TEST(Drain, WithoutConnectionsItIsOverButNotWithinItsConstructor) {
  Scene scene;
  scene.begin(Drain::Idle::kMayEnd, seconds(5));
  EXPECT_EQ(scene.done, 0);
  scene.pass(milliseconds(100));
  EXPECT_EQ(scene.done, 1);
  scene.pass(seconds(10));
  EXPECT_EQ(scene.done, 1);
}

TEST(Drain, IdleConnectionsAreWaitedForAMomentOnly) {
  Scene scene;
  scene.load.connections = 3;
  scene.begin(Drain::Idle::kMayEnd, seconds(60));
  scene.pass(Drain::kQuiet - milliseconds(100));
  EXPECT_EQ(scene.done, 0);
  scene.pass(milliseconds(200));
  EXPECT_EQ(scene.done, 1);
}

TEST(Drain, WhatMovesIsWaitedForUntilTheLimit) {
  Scene scene;
  scene.load.connections = 1;
  scene.begin(Drain::Idle::kMayEnd, seconds(5));
  scene.pass(milliseconds(4800), 1);
  EXPECT_EQ(scene.done, 0);
  EXPECT_LE(scene.drain->left(), milliseconds(200));
  scene.pass(milliseconds(300), 1);
  EXPECT_EQ(scene.done, 1);
}

TEST(Drain, ItEndsWithTheLastConnection) {
  Scene scene;
  scene.load.connections = 1;
  scene.begin(Drain::Idle::kMayEnd, seconds(60));
  scene.pass(seconds(3), 1000);
  scene.load.connections = 0;
  scene.pass(milliseconds(100));
  EXPECT_EQ(scene.done, 1);
}

TEST(Drain, BytesThatAreStuckAreWaitedForALittleLonger) {
  Scene scene;
  scene.load = {1, 500, 4096};
  scene.begin(Drain::Idle::kMayEnd, seconds(60));
  scene.pass(Drain::kStalled - milliseconds(100));
  EXPECT_EQ(scene.done, 0);
  scene.pass(milliseconds(200));
  EXPECT_EQ(scene.done, 1);
}

TEST(Drain, ARetiredAgentStaysForIdleConnectionsWithinItsLimit) {
  Scene scene;
  scene.load.connections = 1;
  scene.begin(Drain::Idle::kStays, seconds(100));
  scene.pass(seconds(99));
  EXPECT_EQ(scene.done, 0);
  scene.pass(seconds(2));
  EXPECT_EQ(scene.done, 1);
}

TEST(Drain, WithoutALimitWorthOfWaitingItIsOverAtOnce) {
  Scene scene;
  scene.load = {5, 100, 100};
  scene.begin(Drain::Idle::kMayEnd, Duration::zero());
  scene.io.advance(milliseconds(1));
  EXPECT_EQ(scene.done, 1);
}

}  // namespace
}  // namespace jump
