// MachineDelay: how much of the time that something took is the machine's and not ours. A thread that sleeps
// for 10 ms again and again adds up how much longer it slept: what runs beside it had to wait like that. A
// test of a promise in seconds then holds the promise itself against what it measured, with a small
// allowance, and does not fail on a machine that is busy with something else.
//
//   MachineDelay machine;
//   const Duration took = …;
//   EXPECT_LT(took, promise + machine.allowance());
#pragma once

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/clock.h"
#include "support/build_kind.h"

namespace jump::test {

class MachineDelay {
 public:
  static constexpr Duration kSleep = milliseconds(10);
  // What our own work may add to a promise's length: logins, round trips, the test's own asking. A sanitizer
  // makes all of it several times slower.
  static constexpr Duration kOwn = kSanitized ? seconds(4) : seconds(1);

  MachineDelay();
  ~MachineDelay();
  MachineDelay(const MachineDelay&) = delete;
  MachineDelay& operator=(const MachineDelay&) = delete;

  // Our own work took so long when nothing was promised: a login and its first use. On a machine that is slow,
  // and not only busy, it takes no less afterwards.
  void expect_own(Duration took) { own_ = std::max(kOwn, 3 * took); }

  void restart() { lost_ = worst_ = 0; }
  // Since it was made, or restarted.
  Duration lost() const { return Duration(lost_.load()); }
  Duration worst() const { return Duration(worst_.load()); }
  // One step of the promise runs after the other, in processes that wait as this thread does.
  Duration allowance() const { return own_ + 2 * lost(); }

 private:
  void sleep_on();

  Duration own_ = kOwn;
  std::atomic<Duration::rep> lost_{0};
  std::atomic<Duration::rep> worst_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace jump::test
