// Which targets of a dynamic forward are in trouble: each once, the latest first, and gone when it is
// reached.
#include "forward/target_failures.h"

#include <gtest/gtest.h>

namespace jump {
namespace {

Endpoint target(int number) { return {"svc" + std::to_string(number), 80, {}}; }
Error error(const char* text) { return {Errc::kUnreachable, text, {}}; }
const TimePoint kStart{};

TEST(TargetFailures, ATargetStandsOnceWithItsLastErrorAndHowOftenInARow) {
  TargetFailures failures;
  EXPECT_TRUE(failures.last_reached());
  failures.failed(target(1), error("refused"), kStart);
  failures.failed(target(1), error("timed out"), kStart + seconds(3));
  ASSERT_EQ(failures.all().size(), 1u);
  EXPECT_EQ(failures.all().front().error.message, "timed out");
  EXPECT_EQ(failures.all().front().count, 2u);
  EXPECT_EQ(failures.all().front().time, kStart + seconds(3));
  EXPECT_FALSE(failures.last_reached());
}

TEST(TargetFailures, ATargetThatIsReachedIsForgottenAndCountsAnew) {
  TargetFailures failures;
  failures.failed(target(1), error("refused"), kStart);
  failures.failed(target(2), error("refused"), kStart);
  failures.reached(target(1));
  EXPECT_TRUE(failures.last_reached());
  ASSERT_EQ(failures.all().size(), 1u);
  EXPECT_EQ(failures.all().front().target, target(2));
  failures.failed(target(1), error("refused"), kStart);
  EXPECT_EQ(failures.all().front().count, 1u);
}

TEST(TargetFailures, OfTooManyTheOldestGoes) {
  TargetFailures failures;
  const int most = static_cast<int>(TargetFailures::kMax);
  for (int i = 0; i <= most; ++i) failures.failed(target(i), error("refused"), kStart);
  EXPECT_EQ(failures.all().size(), TargetFailures::kMax);
  EXPECT_EQ(failures.all().front().target, target(most));
  EXPECT_EQ(failures.all().back().target, target(1)) << "target 0 was the oldest";
}

TEST(TargetFailures, PortsOfOneHostAreTargetsOfTheirOwn) {
  TargetFailures failures;
  failures.failed({"svc", 80, {}}, error("refused"), kStart);
  failures.failed({"svc", 81, {}}, error("refused"), kStart);
  EXPECT_EQ(failures.all().size(), 2u);
}

}  // namespace
}  // namespace jump
