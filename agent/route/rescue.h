// Rescue: further connections to a host whose first one is in doubt, for those who come meanwhile. A path
// that was cut for some seconds may be well again long before TCP tries once more on the connection that it
// had; a new connection finds out at once. The first one is left alone: if it was only slow, what it carries
// goes on.
//
//   open() ─► dialling ─► ready ── take(): the first one has broken, this is the first now
//                              └── has no channels, and the first one is well ─► closed
//
// Invariants: at most kMax connections, one of them dialling; a failure is told to nobody but the log. What
// cannot be reached is dialled again soon; a login that broke off is not repeated for a minute, one that was
// refused, or took a person, not before the host itself has logged in again: it would be a way to lock an
// account.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "hop/hop.h"
#include "stream/io.h"

namespace jump {

class Rescue {
 public:
  // Beside the first: a path that is cut every few seconds leaves one each time, until it has no channels or
  // is found dead.
  static constexpr std::size_t kMax = 3;
  // A dial that is younger is not begun anew when the network changes.
  static constexpr Duration kFreshDial = milliseconds(500);
  // How often it is looked whether one may go, or is tried again.
  static constexpr Duration kLookGap = seconds(1);
  // Between two logins, if the first broke off.
  static constexpr Duration kLoginGap = seconds(60);

  // `changed` is called, from the loop, after each change of a hop, also of one that was handed over by
  // take(); the owner then calls update(). `ending`: as of Hop::on_ending(). `needed`: whether the first one
  // is in doubt.
  using Ending = std::function<void(Mux&)>;
  Rescue(Io& io, WindowBudget& budget, std::shared_ptr<Contention> contention, std::function<void()> changed,
         Ending ending, std::function<bool()> needed);
  ~Rescue();
  Rescue(const Rescue&) = delete;
  Rescue& operator=(const Rescue&) = delete;

  // One is dialled, or will be again in a moment.
  bool busy() const { return dialling_ || pause() > Duration::zero(); }
  // Begins to log in. False: there are too many, or the next login is far off.
  bool open(const HopSpec& spec, const std::string& id, Hop::Via via);
  // The host has logged in anew: whatever was refused may be tried again.
  void allow() { next_try_ = next_login_ = kLongAgo; }
  // The network has changed: the next login may be tried at once, and a dial over the one that was is given
  // up.
  void nudge();
  // Ends them, with the reason for those who use them.
  void close(const Error& reason);
  // The same from the owner's destructor: nothing of them calls `changed` any more.
  void end(const Error& reason);
  // Takes note of what became of them.
  void update();
  // The one that can carry channels at this very moment; null: none.
  Hop* ready() const;
  // That one becomes the caller's; null when there is none.
  std::shared_ptr<Hop> take();
  // All, for the figures.
  const std::vector<std::shared_ptr<Hop>>& hops() const { return hops_; }
  std::uint64_t logins() const { return logins_; }

 private:
  void look();
  // Until the next dial; zero: it may begin, or is not worth waiting for.
  Duration pause() const {
    const Duration left = next_try_ - io_.now();
    return may_log_in() ? left : Duration::zero();
  }
  bool may_log_in() const { return io_.now() >= next_login_; }

  Io& io_;
  WindowBudget& budget_;
  const std::shared_ptr<Contention> contention_;
  const std::function<void()> changed_;
  const Ending ending_;
  const std::function<bool()> needed_;
  std::vector<std::shared_ptr<Hop>> hops_;
  std::shared_ptr<Hop> dialling_;  // the last of hops_, until it has logged in
  TimePoint next_try_ = kLongAgo, next_login_ = kLongAgo;
  std::uint64_t logins_ = 0;
  std::unique_ptr<Timer> look_timer_;
};

}  // namespace jump
