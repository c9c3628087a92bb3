// Host: one server as the user named it, whether connected or not. It is asked for a ready connection as
// often as anybody wants one; those who ask meanwhile join the login that is under way.
//
//   idle/down ── acquire() ─► resolving ─► connecting … authenticating ─► ready ── break ─► down
//
// Invariants: at most one hop at a time; every acquire() is answered once, within its timeout, or cancelled.
// A user's request hears of the first failure; a connection waits on while the host is away, and makes it
// dial again. A failed login that a person has to mend (wrong key, unknown host key) is not tried again by a
// mere connection.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "hop/hop.h"
#include "route/ssh_config.h"
#include "stream/io.h"

namespace jump {

class Host {
 public:
  enum class State { kIdle, kResolving, kConnecting, kReady, kDown };
  // Who asks.
  enum class Asker { kUser, kConnection };
  // After a failure that may mend itself, connections that wait are worth another dial, but not sooner than
  // this.
  static constexpr Duration kRetryGap = seconds(1);

  Host(Io& io, WindowBudget& budget, SshConfig& config, std::string name);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // Calls `done` with the ready connection's Mux (good for that call: open channels at once), or with the
  // reason why there is none within `timeout`. Destroying the operation withdraws the request; the login goes
  // on.
  using Acquired = std::function<void(Result<Mux*>)>;
  std::unique_ptr<Operation> acquire(Asker asker, Duration timeout, Acquired done);
  // Ends the connection; those who wait are refused.
  void disconnect(const Error& reason);

  const std::string& name() const { return name_; }
  State state() const { return state_; }
  bool ready() const { return state_ == State::kReady; }
  const Hop* hop() const { return hop_.get(); }
  Mux* mux() const { return ready() && hop_ ? &hop_->mux() : nullptr; }  // null unless connected
  const std::optional<HopSpec>& spec() const { return spec_; }           // once resolved
  const std::optional<Error>& last_error() const { return last_error_; }
  TimePoint error_time() const { return error_time_; }
  TimePoint since() const { return since_; }
  std::uint64_t logins() const { return logins_; }
  std::size_t waiting() const { return waiters_.size(); }

 private:
  class Waiter;

  void begin();
  void on_resolved(Result<HopSpec> result);
  void on_hop_changed();
  void answer_all(const Error* error);
  void answer_pending();
  void go_down(Error error);
  void retry();
  void set_state(State next);
  bool needs_person() const;

  Io& io_;
  WindowBudget& budget_;
  SshConfig& config_;
  const std::string name_;
  State state_ = State::kIdle;
  TimePoint since_;
  std::optional<HopSpec> spec_;
  std::optional<Error> last_error_;
  TimePoint error_time_;
  TimePoint next_dial_;  // for those that wait: at once after a lost session, kRetryGap after a failed dial
  std::uint64_t logins_ = 0;
  std::uint64_t attempts_ = 0;
  std::unique_ptr<Operation> resolving_;
  std::shared_ptr<Hop> hop_;
  std::list<Waiter*> waiters_;  // in the order of their coming; each belongs to its asker
  std::unique_ptr<Deferred> answer_soon_;
  std::unique_ptr<Timer> retry_timer_;
};

}  // namespace jump
