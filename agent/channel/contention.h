// Contention: what the connections to one host have to know of each other. Each Mux tells what its channels
// do and asks what those of the others did, because two connections to one host mostly share one bottleneck:
// bulk on either is held back while somebody types on either. Time is a parameter; the host owns it and hears
// when bulk and somebody's typing have met.
//
// Invariant: nothing here calls a Mux. One that carries bulk asks at its next packet.
#pragma once

#include <algorithm>
#include <functional>
#include <utility>

#include "base/clock.h"

namespace jump {

class Contention {
 public:
  // So long after its last sign an interactive channel counts as active.
  static constexpr Duration kInteractiveHold = seconds(3);

  // `met` is called from within a Mux, again and again while they meet: it must only schedule. Null: nobody
  // wants to know.
  void on_met(std::function<void()> met) { met_ = std::move(met); }

  // `channel` tells channels apart and is never looked into.
  void note_interactive(const void* channel, TimePoint now) {
    if (channel != latest_.channel) earlier_ = std::exchange(latest_, Sign{channel, now});
    latest_.at = std::max(latest_.at, now);
  }
  // What it said before was the beginning of its bulk (a request), and nobody's typing.
  void note_bulk(const void* channel, TimePoint now) {
    last_bulk_ = std::max(last_bulk_, now);
    if (channel == earlier_.channel) earlier_ = Sign{};
    if (channel == latest_.channel) latest_ = std::exchange(earlier_, Sign{});
  }
  void note_met() const {
    if (met_) met_();
  }
  // A Mux has begun (+1) or ended (-1) to hold bulk back.
  void count_governed(int change) { governed_ += change; }

  bool interactive(TimePoint now) const { return now - latest_.at < kInteractiveHold; }
  TimePoint last_bulk() const { return last_bulk_; }
  bool governed() const { return governed_ > 0; }

 private:
  struct Sign {
    const void* channel = nullptr;
    TimePoint at = kLongAgo;
  };

  std::function<void()> met_;
  Sign latest_, earlier_;  // of two channels
  TimePoint last_bulk_ = kLongAgo;
  int governed_ = 0;
};

}  // namespace jump
