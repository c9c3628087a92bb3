#include "loop/sleep_watch.h"

#include <ctime>
#include <utility>

#include "loop/timer.h"

namespace jump {
namespace {

Duration clock_now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::chrono::duration_cast<Duration>(seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

// How long the machine was suspended since it booted.
Duration suspended_so_far() {
#ifdef CLOCK_BOOTTIME
  return clock_now(CLOCK_BOOTTIME) - clock_now(CLOCK_MONOTONIC);
#else
  return {};
#endif
}

}  // namespace

SleepWatch::SleepWatch(Loop& loop, std::function<void(Duration)> woke_up)
    : loop_(loop),
      woke_up_(std::move(woke_up)),
      timer_(std::make_unique<UvTimer>(loop, [this] { look(); })) {
  look();
}

SleepWatch::~SleepWatch() = default;

void SleepWatch::pretend(Duration slept) {
  pretended_ += slept;
  look();
}

void SleepWatch::look() {
  const Duration slept = gauge_.look(loop_.now(), suspended_so_far() + pretended_, kPeriod);
  timer_->start(kPeriod);
  if (slept > Duration::zero()) woke_up_(slept);
}

}  // namespace jump
