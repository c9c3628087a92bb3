// Waiting for a state by asking for it: a test never sleeps for a time that "should be enough".
#pragma once

#include <functional>

#include "base/clock.h"

namespace jump::test {

// Asks until `condition` holds (true) or `deadline` has passed (false). It is asked at least once.
bool eventually(const std::function<bool()>& condition, Duration deadline = seconds(60));

// Whether `condition` holds at every one of many askings during `period`; false at the first time it does
// not.
bool always(const std::function<bool()>& condition, Duration period);

// Time since construction, for bounds on how long something took.
class Stopwatch {
 public:
  Duration elapsed() const { return Clock::now() - start_; }

 private:
  TimePoint start_ = Clock::now();
};

}  // namespace jump::test
