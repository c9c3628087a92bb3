// Lane: a host's second connection, for a time: so that what is opened next does not queue behind the bulk of
// the first one. It carries channels like the first, and nobody waits for it.
//
//   kNone ── open() ─► kDialling ── logged in ─► kReady ── nothing to do for kIdleTime, close(), break ─►
//   kNone
//
// Invariants: at most one hop; a failure is told to nobody but the log, and delays the next attempt; what
// could need a person's doing is not repeated before allow() says that the host logged in anew. Its end is
// the end of its own channels only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "hop/hop.h"
#include "stream/io.h"

namespace jump {

class Lane {
 public:
  enum class State { kNone, kDialling, kReady };
  // Without channels, and without bulk that the next one should evade; shorter by up to kLookGap.
  static constexpr Duration kIdleTime = seconds(60);
  // How often it looks whether it has anything to do.
  static constexpr Duration kLookGap = seconds(10);
  // After a login that failed or a connection that broke: a server that is short of something stays so a
  // while.
  static constexpr Duration kRetryGap = seconds(60);

  // `changed` is called, from the loop, after each change of the hop, also of one that was handed over by
  // take(); the owner then calls update(). `ending`: as of Hop::on_ending(); may be null.
  using Ending = std::function<void(Mux&)>;
  Lane(Io& io, WindowBudget& budget, std::shared_ptr<Contention> contention, std::function<void()> changed,
       Ending ending = nullptr);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // There is no connection, and it is not too soon after a failure.
  bool may_open() const { return !hop_ && io_.now() >= next_try_; }
  // Begins to log in, if it may.
  void open(const HopSpec& spec, const std::string& id, Hop::Via via);
  // Why the last one failed or broke.
  const std::optional<Error>& last_error() const { return last_error_; }
  // Ends it, with the reason for those who use it.
  void close(const Error& reason);
  // The same from the owner's destructor: nothing of it calls `changed` any more.
  void end(const Error& reason);
  // Takes note of what became of the hop.
  void update();
  // The ready connection becomes the caller's; null when there is none.
  std::shared_ptr<Hop> take();
  // What failed before may succeed now.
  void allow() { next_try_ = kLongAgo; }

  const Hop* hop() const { return hop_.get(); }
  // Null unless it can carry channels at this very moment.
  Hop* ready() const { return hop_ && hop_->state() == Hop::State::kReady ? hop_.get() : nullptr; }
  State state() const { return state_; }
  std::uint64_t logins() const { return logins_; }

 private:
  void look();
  void fail(const Error& error);
  void set_state(State next);

  Io& io_;
  WindowBudget& budget_;
  const std::shared_ptr<Contention> contention_;
  const std::function<void()> changed_;
  const Ending ending_;
  State state_ = State::kNone;
  std::string id_;
  std::shared_ptr<Hop> hop_;
  TimePoint next_try_ = kLongAgo;
  TimePoint last_used_;
  std::uint64_t logins_ = 0;
  std::optional<Error> last_error_;
  std::unique_ptr<Timer> look_timer_;
};

}  // namespace jump
