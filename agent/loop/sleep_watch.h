// SleepWatch: says when the machine, or this process, has slept: a suspended laptop (CLOCK_BOOTTIME runs on
// then, CLOCK_MONOTONIC does not), or a stopped process (SIGSTOP, a frozen virtual machine). It looks once
// every kPeriod, and right after a wake-up: on Linux its timer runs by CLOCK_BOOTTIME, so that it is overdue
// then. Elsewhere it tells at most kPeriod after a machine's wake-up.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/fd.h"
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
  static constexpr seconds kPeriod{1};

  SleepWatch(Loop& loop, std::function<void(Duration slept)> woke_up);
  ~SleepWatch();
  SleepWatch(const SleepWatch&) = delete;
  SleepWatch& operator=(const SleepWatch&) = delete;

  // For tests: as if the machine had been suspended for so long.
  void pretend(Duration slept);

 private:
  struct Block;

  bool start_boot_timer();
  void look();

  Loop& loop_;
  std::function<void(Duration)> woke_up_;
  SleepGauge gauge_;
  Duration pretended_{};
  Fd boot_timer_;
  std::shared_ptr<Block> block_;
  std::unique_ptr<Timer> timer_;  // where there is no such clock
};

}  // namespace jump
