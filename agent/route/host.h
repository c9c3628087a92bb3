// Host: one server as the user named it, whether connected or not. It is asked for a ready connection as
// often as anybody wants one; those who ask meanwhile join the login that is under way.
//
//   idle/down ── acquire() ─► resolving ─► connecting … authenticating ─► ready ── break ─► down
//
// While bulk fills the connection and others want to use it, a second one, the Lane, is opened in the
// background if the login needed no person, and new channels go to whichever carries less bulk. When the
// first one breaks, a lane that is ready takes its place. While the connection is in doubt (it owes an
// answer), who asks waits until it answers, or until a further one does, which is dialled then: see Rescue.
// Channels that the server has not answered when it breaks wait for the next connection: see WaitingRoom.
//
// Behind a jump host it goes through the Host of that one, as a channel of it; so whatever is behind one
// bastion shares its connection. When another name means the same server by the same way, and is connected or
// about to be, this Host follows that one instead of logging in again. A bastion, one name of the config file
// for several hosts, has no connection of its own either: it follows the member that a BastionRace finds, and
// when that one breaks, the next. A new channel goes through another member, if that one is connected for
// others and much faster.
//
// What its login asks is waited for by all whose login needs this one: users of this host, of those that
// follow it, and of those that lie behind it, at any depth. names_that_wait() is who they are at a moment;
// questions are put to them, and not to one that was chosen when the question came up.
//
// Invariants: at most one hop and one lane at a time, and a lane only while the host is ready; every
// acquire() is answered once, within its timeout, or cancelled; nobody waits for a lane. A user's request
// hears of the first failure; a connection waits on while the host is away, and makes it dial again. A failed
// login that a person has to mend (wrong key, unknown host key, a question that nobody answered) is tried
// again for a user only, and so is one that took a person the last time, whatever failed since. A user who
// came to a login too late to be asked what it had asked in vain gets another.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/result.h"
#include "hop/hop.h"
#include "route/lane.h"
#include "route/rescue.h"
#include "route/route.h"
#include "route/session_pool.h"
#include "route/waiting_room.h"
#include "stream/io.h"

namespace jump {

class BastionRace;
struct BastionMember;
class Host;

// Where a Host finds the others.
class HostDirectory {
 public:
  // Another Host that is connected, or about to be, by the same route; null: there is none.
  virtual Host* same_connection(const Host& asking, const Route& route) = 0;
  // The Host that carries, or will carry, connections to what lies behind `route`. Errors: kLimit.
  virtual Result<Host*> carrier(const Route& route) = 0;
  // Those that are connected, or about to be, through `host` or its followers.
  virtual std::vector<Host*> carried_by(const Host& host) const = 0;
  // The hosts that the bastion `name` may be, in the order of the config file; empty: it is no bastion.
  virtual const std::vector<std::string>& members(const std::string& name) const = 0;
  // One of them, made if need be. Errors: kInvalid, kLimit.
  virtual Result<Host*> member(const std::string& name) = 0;
  // The bastions that `host` is a member of.
  virtual std::vector<Host*> bastions_of(const Host& host) const = 0;
  // The bastions that are trying `host` as a member.
  virtual std::vector<Host*> suitors(const Host& host) const = 0;
  // False: a bastion is trying `host`, and another login of that bastion is under way.
  virtual bool may_ask(const Host& host) = 0;
  // `host` is connected: what others could not do without it is no failure any more.
  virtual void host_connected(const Host& host) = 0;
  // The state of a Host, or of its connection, may be another one now. Told from within: a note is all that
  // is to be made of it.
  virtual void host_changed() = 0;

 protected:
  ~HostDirectory() = default;
};

class Host final : private SessionPool::Source {
 public:
  enum class State { kIdle, kResolving, kConnecting, kReady, kDown };
  // Who asks. kUpkeep: the agent itself, for its config file. The last three: a hop that is to go through
  // this one, for a login that a user asked for, for a connection, or that only keeps things as they are. All
  // but kConnection hear of the first failure.
  enum class Asker { kUser, kConnection, kUpkeep, kHopForUser, kHop, kHopForUpkeep };
  // Whether a second connection may be opened.
  enum class Lanes { kNever, kAsNeeded };
  // As what a member is left that a bastion tried: it would not do, or another one was there first.
  enum class Left { kUnused, kFailed };
  // Logins that broke off in a row: a server that means it by that is not asked again before somebody asks
  // for it. One that let us in before, and needed no person, is: it is the path.
  static constexpr int kBrokenLogins = 3;
  // After a failure that may mend itself, somebody who waits is worth another dial this long after the last;
  // without anybody, Backoff says when.
  static constexpr Duration kRetryGap = seconds(1);
  // A connection that broke sooner than this after its login is dialled again with the pauses of a failed
  // one.
  static constexpr Duration kStable = seconds(10);
  // A dial that is younger is not begun anew at once when the network changes; nor is one begun so soon after
  // the last has failed.
  static constexpr Duration kFreshDial = milliseconds(500);
  // Contention that ends sooner was over before another login could have helped.
  static constexpr Duration kLasting = seconds(2);

  // `prompter`: the way to a person, for logins; null: there is none. It outlives the host.
  // How long a hop waits for the one that is to carry it: its dial and its login, each with a deadline of its
  // own.
  static constexpr Duration kCarrierTimeout = seconds(300);
  // A question that has to wait for another one of the same bastion looks so often whether it may go.
  static constexpr Duration kHeldQuestion = milliseconds(100);

  // `name` and `jump` are as in Route::Step.
  Host(Io& io, WindowBudget& budget, RouteFinder& routes, HostDirectory& directory, std::string name,
       std::string jump, Lanes lanes, Prompter* prompter = nullptr);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // Calls `done` with the ready connection's Mux (good for that call: open channels at once), or with the
  // reason why there is none within `timeout`. Destroying the operation withdraws the request; the login goes
  // on.
  using Acquired = std::function<void(Result<Mux*>)>;
  std::unique_ptr<Operation> acquire(Asker asker, Duration timeout, Acquired done);
  // An agent before this one was logged in. If that took a person, nothing is begun before a user asks.
  void expect_person(bool takes);
  // The user has changed something: the next to ask may log in again, whatever failed before.
  void forget_failure();
  // It could not be connected because `other` was not: what kept that from being connected is over.
  bool is_blocked_by(const Host& other) const { return blocked_by_ == &other; }
  bool is_blocked() const { return blocked_by_ != nullptr; }
  void unblock();
  // Somebody waits for one that goes through this one, or that this one may be.
  void be_hurried();
  // `connected` is called from the loop each time that the host has become connected, until the operation is
  // destroyed.
  std::unique_ptr<Operation> watch(std::function<void()> connected);
  // What may have ended connections, or have brought the way back. A change of our network is no matter of
  // what lies behind a jump host: that is lost with the jump host, if at all.
  enum class Nudge { kNetwork, kAwake };
  // A connection is asked whether it still is one, and what is away is dialled now.
  void nudge(Nudge why);
  // It does not come back by itself any more.
  void let_go() { wanted_ = upkeep_ = kept_ = false; }
  // Nor after whoever asks for it from now on: another agent is to have it.
  void leave() {
    let_go();
    leaving_ = true;
  }
  // A user wants to be sure of it: who asks as one from now on waits until the server has answered, or
  // another connection is there.
  void question();
  // Whether `mux` is of a connection that serves this host.
  bool is_served_by(const Mux& mux) const;
  // The same, or that it is where channels wait for the next connection.
  bool may_carry(const Mux& mux) const;
  // Ends the connection; those who wait are refused. It stays away until somebody asks for it.
  void disconnect(const Error& reason);
  // A bastion has tried it and does not need it: what nobody else wants of it is ended.
  void leave_unused(const Error& reason, Left as);
  // The race of a bastion ends without a winner.
  void end_race();
  // The same at the end of all hosts: the members are left as they are.
  void drop_race() { race_.reset(); }
  // The config file has other members for it now: the race begins anew.
  void look_again();

  const std::string& name() const { return title_; }
  State state() const { return state_; }
  bool ready() const { return state_ == State::kReady; }
  const Hop* hop() const { return hop_.get(); }
  const Lane& lane() const { return lane_; }
  const Rescue& rescue() const { return rescue_; }
  // Where the next channel is best opened: of the connections that are ready, the one with the fewest bulk
  // channels. Null unless connected.
  Mux* mux() const;
  // The connection that lasts: not the lane, which goes when it is not needed. Null unless connected.
  Mux* first_mux() const;
  // The same, or the one that serves in its stead while it is in doubt.
  Mux* lasting_mux() const;
  // Of the connections that carry sessions: those of the host whose connection it uses.
  SessionPool& sessions() { return leader_ ? leader_->sessions() : sessions_; }
  const SessionPool& sessions() const { return leader_ ? leader_->sessions() : sessions_; }
  const std::optional<Route>& route() const { return route_; }  // once resolved
  const HopSpec* spec() const { return route_ ? &route_->target() : nullptr; }
  // The jump host that carries it; null: none, or there is no connection.
  Host* via() const { return hop_ ? via_ : nullptr; }
  // The Host whose connection it uses, under another name; null: its own.
  Host* leader() const { return leader_; }
  // The hosts that it may be; empty: it is no bastion.
  const std::vector<std::string>& members() const;
  // Of a bastion: the name of the member that serves, or did last; empty: none yet.
  const std::string& serving() const { return serving_; }
  BastionRace* race() const { return race_.get(); }  // null: no member is looked for
  const std::optional<Error>& last_error() const { return last_error_; }
  TimePoint error_time() const { return error_time_; }
  // In this state; while it is away, and dialled again and again: since it went away.
  TimePoint since() const { return away_since_.value_or(since_); }
  // Of the connection that it uses, while it is connected.
  std::optional<TimePoint> last_heard() const;
  // It failed, and to the login that is tried now nobody has answered yet.
  bool silent() const;
  // Nothing that is connected has answered lately.
  bool in_doubt() const;
  std::uint64_t logins() const { return logins_; }
  // Of the connection that it uses.
  std::uint64_t connection_logins() const { return leader_ ? leader_->logins_ : logins_; }
  // Requests and connections that wait for it.
  std::size_t waiting() const { return waiters_.size() + waiting_room_.size(); }
  // Somebody other than a hop has asked for it since the last disconnect().
  bool wanted() const { return wanted_; }
  // Smoothed, of the connection or of the last one.
  std::optional<Duration> round_trip() const;
  // Whether its last successful login took a person; none: there was none.
  std::optional<bool> took_person() const { return took_person_; }
  // A person was asked for its last login and did not answer.
  bool left_unanswered() const { return left_unanswered_; }

 private:
  class Waiter;
  class Watcher;
  class Asking;
  class HeldQuestion;

  // SessionPool::Source
  Mux* first_connection() const override { return lasting_mux(); }
  std::optional<Error> no_further() const override;
  void dial_further(Lane& lane) override;

  void begin();
  void on_resolved(Result<Route> result);
  void connect();
  void find_member();
  void on_member(const Result<Host*>& result);
  bool is_circle();
  Host* fastest() const;
  bool has_alternative() const;
  Error lost_member(Error error) const;
  std::vector<BastionMember> known_members() const;
  Hop::Via carried(Asker asker);
  void follow(Host& leader);
  void on_leader_answer(const Result<Mux*>& result);
  void lose_leader(const Error& error, State next);
  void release_followers(const Error& error, State next);
  void note_ignored();
  std::vector<Host*> dependants();
  std::vector<std::string> names_that_wait();
  void on_missed();
  void begin_for_the_late();
  Asker as_a_hop() const;
  void on_hop_changed();
  void answer_all(const Error* error);
  void answer_pending();
  bool unsure() const;
  bool first_in_doubt() const { return ready() && hop_ && hop_->in_doubt(); }
  Host* stand_in() const;
  bool call_stand_in();
  void dismiss_stand_in();
  void watch_openings();
  void save_openings();
  bool save_openings_of(Mux& mux, Mux::Move move);
  void on_ending(Mux& mux);
  void look_at_openings();
  bool question_doubt();
  void on_doubt_timer();
  void on_heard();
  void go_down(Error error, const Host* blocked_by = nullptr);
  void retry();
  void retry_at(TimePoint when);
  TimePoint next_try() const;
  bool worth_a_retry() const;
  void redial();
  bool may_dial_anew() const;
  void look_at_young_dial();
  void dial_anew();
  Error break_of_login(Error error);
  void set_state(State next);
  bool needs_person() const;
  const Host* blocking() const;
  void hurry();
  void hurry_race();
  void on_contention();
  void on_open();
  void open_lane();
  bool promote_lane(const Error& error);

  Io& io_;
  WindowBudget& budget_;
  RouteFinder& routes_;
  HostDirectory& directory_;
  const std::unique_ptr<Prompter> prompter_;  // null: there is nobody to ask
  const std::string name_, jump_;
  const std::string title_;
  State state_ = State::kIdle;
  TimePoint since_;
  std::optional<TimePoint> away_since_;  // from the first failure to the next connection
  std::optional<Route> route_;
  std::vector<std::string> ignored_told_;
  std::optional<Error> last_error_;
  TimePoint error_time_;
  const Host* blocked_by_ = nullptr;  // its jump host, or what it follows, whose failure last_error_ tells
  Backoff backoff_;                   // between the dials of a host that is away
  TimePoint next_dial_;               // while it is away
  Duration redial_age_ = kFreshDial;
  const Hop* changed_dial_ = nullptr;  // too young to be begun anew when the network changed; compared only
  TimePoint changed_at_;
  bool hurried_ = false;  // somebody waits at a host that waits for this one, which was asked for upkeep only
  bool wanted_ = false;
  bool upkeep_ = false;  // the agent itself wants it, for what is to be kept
  bool leaving_ = false;
  bool kept_ = false;                // it was connected for such a one: it comes back by itself
  int broken_logins_ = 0;            // in a row
  std::optional<bool> took_person_;  // its last successful login; none: there was none
  std::uint64_t logins_ = 0;
  std::uint64_t attempts_ = 0;
  std::unique_ptr<Operation> resolving_;
  std::shared_ptr<Contention> contention_ = std::make_shared<Contention>();
  Host* via_ = nullptr;  // of hop_
  std::shared_ptr<Hop> hop_;
  Host* leader_ = nullptr;
  std::shared_ptr<BastionRace> race_;  // of a bastion, while it looks for a member
  std::string serving_;
  std::optional<Duration> round_trip_;  // of the last connection
  bool left_unanswered_ = false;
  std::unique_ptr<Operation> following_;  // the leader's answer is awaited
  std::vector<Host*> followers_;          // whose leader this is
  const Lanes lanes_;
  Lane lane_;
  SessionPool sessions_;
  std::uint64_t last_waiter_ = 0;
  std::uint64_t missed_by_ = 0;   // waiters up to this one were there when a question went without an answer
  std::list<Waiter*> waiters_;    // in the order of their coming; each belongs to its asker
  std::list<Watcher*> watchers_;  // each belongs to whoever watches
  std::unique_ptr<Deferred> answer_soon_;
  std::unique_ptr<Timer> retry_timer_;
  std::unique_ptr<Timer> redial_timer_;
  Rescue rescue_;
  WaitingRoom waiting_room_;
  std::unique_ptr<Timer> doubt_timer_;
  std::unique_ptr<Timer> openings_timer_;
  TimePoint openings_look_ = TimePoint::max();  // channels that wait for the server are looked at then
  // Of a bastion whose member is in doubt: another one, which is connected meanwhile.
  std::string called_;
  std::unique_ptr<Operation> calling_;
  std::unique_ptr<Timer> lane_timer_;
  TimePoint lane_decision_ = TimePoint::max();  // contention has to last until then
};

}  // namespace jump
