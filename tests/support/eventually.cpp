#include "support/eventually.h"

#include <algorithm>
#include <thread>

namespace jump::test {

namespace {
constexpr Duration kFirstPause = milliseconds(2);
constexpr Duration kLongestPause = milliseconds(50);
}  // namespace

bool eventually(const std::function<bool()>& condition, Duration deadline) {
  const TimePoint end = Clock::now() + deadline;
  Duration pause = kFirstPause;
  while (!condition()) {
    if (Clock::now() >= end) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
  return true;
}

bool always(const std::function<bool()>& condition, Duration period) {
  return !eventually([&] { return !condition(); }, period);
}

}  // namespace jump::test
