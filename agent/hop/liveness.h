// Liveness: whether the server at the other end is still there. Pure; the owner sends the questions
// (keepalive@openssh.com) and tells what it heard.
//
//   heard() ─► quiet for an interval ─► tick(): kAsk ─► heard(): all is well
//                                                   └─► nothing for the patience: tick(): kDead
//   suspect(): the network changed, or the machine slept: asks at once, and has little patience
//   path_lives(): the other machine takes what is sent: the server has the usual time after all
//
// What a suspect says may have been on its way before the path broke: where the other machine's
// acknowledgements are known (Delivery), only that of something that left after the suspicion ends it.
//
// Invariants: nobody is dead who was not asked, or who answers what is asked after the last suspicion; after
// the last byte that was heard, kDead comes within interval + patience, after the last suspect() within
// kSuspectPatience (more where the path is slow: kSuspectRoundTrips), unless path_lives().
// When tick() itself comes late (the process was stopped), what the server sent meanwhile is not read yet: it
// is asked once more.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/clock.h"
#include "stream/byte_stream.h"

namespace jump {

class Liveness {
 public:
  // Without ServerAliveInterval.
  static constexpr Duration kInterval = seconds(15);
  static constexpr Duration kPatience = seconds(15);
  // Something was sent: a silence of this length is worth a question.
  static constexpr Duration kWaitingInterval = seconds(3);
  // One lost packet and its retransmission on a path of a second, and within the three seconds that a user
  // waits after opening the lid.
  static constexpr Duration kSuspectPatience = milliseconds(2500);
  // A path that is slower than that allows gets so many of its own round trips.
  static constexpr int kSuspectRoundTrips = 3;
  static constexpr Duration kAskAgain = milliseconds(500);
  // So long a server may send what is new without any acknowledgement, on most paths.
  static constexpr Duration kMaySpeakOn = seconds(2);
  // A timer that is later than this was held up with the whole process.
  static constexpr Duration kLate = seconds(1);

  // Of ServerAliveInterval and its count: far beyond use, far from any overflow.
  static constexpr Duration kMost = std::chrono::hours(24);
  static constexpr int kMostCounts = 1000;

  enum class Verdict { kWell, kAsk, kDead };

  // As ServerAliveInterval and ServerAliveCountMax say; zero interval: our own.
  Liveness(Duration interval, int count_max)
      : interval_(interval > Duration::zero() ? std::min(interval, kMost) : kInterval),
        patience_(interval > Duration::zero() ? interval_ * std::clamp(count_max, 1, kMostCounts)
                                              : kPatience) {}

  // Bytes came. Also at the start.
  void heard(TimePoint now) {
    if (!fresh_) ask_at_ = TimePoint::max();
    last_heard_ = now;
    dead_at_ = TimePoint::max();
    waits_since_ = TimePoint::max();
    suspected_ = false;
  }
  // The same of a suspect, where its acknowledgements are known.
  void heard(TimePoint now, const Delivery& delivery) {
    if (!suspected_ || arrives(delivery, latest_)) return heard(now);
    last_heard_ = now;
  }
  // Bytes went: the server has something to answer, or to acknowledge.
  void spoke(TimePoint now) { waits_since_ = std::min(waits_since_, now); }
  // `round_trip`: what the path usually takes; zero: not known.
  void suspect(TimePoint now, Duration round_trip = {}) {
    ask_at_ = now;
    suspected_ = fresh_ = true;
    const Duration usual = std::min(kSuspectRoundTrips * round_trip, bound());
    suspect_until_ = now + std::max(kSuspectPatience, usual);
  }

  // A suspect is about to be asked, after tick() said so: what left before the suspicion proves nothing. It
  // is asked again while it is suspected, as one packet that gets through is enough.
  void asks(TimePoint now, const Delivery& delivery) {
    if (std::exchange(mark_due_, false)) {
      latest_ = delivery.sent;
      if (dead_at_ == suspect_until_) judge_from(now);
    }
    if (now + kAskAgain < suspect_until_) ask_at_ = now + kAskAgain;
  }

  // Of a suspect that is dead by tick(): true if it has not had the usual time, and its machine takes what
  // was sent since, or goes on to speak: who gets no acknowledgement says nothing new for long. After a
  // further suspicion, or where speaking is all that it does, it is judged again soon.
  bool path_lives(TimePoint now, const Delivery& delivery) {
    const TimePoint until = last_heard_ + bound();
    const bool arrived = !delivery.owed || delivery.stalled || arrives(delivery, judged_);
    const bool speaks = last_heard_ > judged_from_ + kMaySpeakOn;
    if (!suspected_ || now >= until || !(arrived || speaks)) return false;
    TimePoint next = suspect_until_ > now ? suspect_until_ : until;
    if (!arrived) suspect_until_ = next = now + kSuspectPatience;
    dead_at_ = std::min(next, until);
    if (!arrived) ask_at_ = now;
    judge_from(now);
    return true;
  }

  // To be called at next_tick(). kAsk: send the question now. `round_trip` as in suspect().
  Verdict tick(TimePoint now, Duration round_trip = {}) {
    if (now < next_tick()) return Verdict::kWell;
    if (is_asked()) {
      const bool late = now - next_tick() > kLate;
      if (!late && now >= dead_at_) return Verdict::kDead;
      if (late) suspect(now, round_trip);
    }
    if (std::exchange(fresh_, false)) {
      mark_due_ = true;
      dead_at_ = now < dead_at_ ? std::min(dead_at_, suspect_until_) : suspect_until_;
    } else if (!is_asked()) {
      dead_at_ = now + patience_;
    }
    ask_at_ = TimePoint::max();
    return Verdict::kAsk;
  }
  TimePoint next_tick() const {
    if (is_asked()) return std::min(dead_at_, ask_at_);
    TimePoint due = std::min(ask_at_, last_heard_ + interval_);
    if (waits_since_ != TimePoint::max()) due = std::min(due, waits_since_ + kWaitingInterval);
    return due;
  }
  TimePoint last_heard() const { return last_heard_; }
  // suspect() was called since heard().
  bool suspected() const { return suspected_; }
  // spoke() was called since heard().
  bool waiting() const { return waits_since_ != TimePoint::max(); }
  // For how long the server has had something to say.
  Duration owed(TimePoint now) const { return waiting() ? now - waits_since_ : Duration::zero(); }
  // From the last byte that was heard to kDead, at most.
  Duration bound() const { return interval_ + patience_; }

 private:
  static bool arrives(const Delivery& delivery, std::uint32_t mark) {
    return static_cast<std::int32_t>(delivery.acknowledged - mark) > 0;
  }
  void judge_from(TimePoint now) {
    judged_ = latest_;
    judged_from_ = now;
  }
  bool is_asked() const { return dead_at_ != TimePoint::max(); }

  const Duration interval_;
  const Duration patience_;
  TimePoint last_heard_;
  TimePoint dead_at_ = TimePoint::max();      // unless something is heard; max: no question is open
  TimePoint waits_since_ = TimePoint::max();  // the first byte sent since the last was heard
  TimePoint ask_at_ = TimePoint::max();       // suspect()
  TimePoint suspect_until_;
  bool suspected_ = false;
  bool fresh_ = false;     // tick() has not seen the last suspicion yet
  bool mark_due_ = false;  // asks() has not
  // What had left when the suspicion was that dead_at_ goes by, and at the latest one.
  std::uint32_t judged_ = 0, latest_ = 0;
  TimePoint judged_from_;
};

}  // namespace jump
