// SleepWatch: says when the machine, or this process, has slept: a suspended laptop (CLOCK_BOOTTIME runs on
// then, CLOCK_MONOTONIC does not), or a stopped process (SIGSTOP, a frozen virtual machine). It looks once
// every kPeriod, so it tells at most that long after the wake-up; a timer that is due fires right then.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "loop/loop.h"
#include "stream/io.h"

namespace jump {

// How long it slept, if it did. Pure; both clocks are parameters.
class SleepGauge {
 public:
  // Between two looks: more than a busy loop or a busy machine explains.
  static constexpr Duration kSleep = seconds(3);

  // `asleep` is CLOCK_BOOTTIME less CLOCK_MONOTONIC; `expected` the time since the last look, as planned.
  // Zero: it did not sleep.
  Duration look(TimePoint now, Duration asleep, Duration expected) {
    const Duration suspended = asleep - asleep_;
    const Duration stopped = now - last_ - expected;
    const bool first = last_ == kLongAgo;
    asleep_ = asleep;
    last_ = now;
    if (first) return {};
    if (suspended >= kSleep) return suspended;
    return stopped >= kSleep ? stopped : Duration::zero();
  }

 private:
  TimePoint last_ = kLongAgo;
  Duration asleep_{};
};

class SleepWatch {
 public:
  static constexpr Duration kPeriod = seconds(1);

  SleepWatch(Loop& loop, std::function<void(Duration slept)> woke_up);
  ~SleepWatch();
  SleepWatch(const SleepWatch&) = delete;
  SleepWatch& operator=(const SleepWatch&) = delete;

  // For tests: as if the machine had been suspended for so long.
  void pretend(Duration slept);

 private:
  void look();

  Loop& loop_;
  std::function<void(Duration)> woke_up_;
  SleepGauge gauge_;
  Duration pretended_{};
  std::unique_ptr<Timer> timer_;
};

}  // namespace jump
