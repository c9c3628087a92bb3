#include "support/machine_delay.h"

#include <algorithm>

namespace jump::test {

namespace {

// A timer's own inaccuracy is no delay.
constexpr Duration kUsual = milliseconds(1);

}  // namespace

MachineDelay::MachineDelay() : thread_([this] { sleep_on(); }) {}

MachineDelay::~MachineDelay() {
  stop_ = true;
  thread_.join();
}

void MachineDelay::sleep_on() {
  while (!stop_) {
    const TimePoint due = Clock::now() + kSleep;
    std::this_thread::sleep_until(due);
    const Duration late = Clock::now() - due;
    if (late < kUsual) continue;
    lost_ += late.count();
    worst_ = std::max(worst_.load(), late.count());
  }
}

}  // namespace jump::test
