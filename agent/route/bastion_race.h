// BastionRace: finds the member of a bastion (bastion_choice.h) that is to serve: one that is connected, or
// the first to answer of those that it dials.
//
//   start() ─► one is ready, and answers: that one                                         ─► done(member)
//          └► the first member ─ no answer for kStagger, or failed ─► the next beside it …
//                └► a server has answered, its login begins: the others are withdrawn ─ ready ─► done(member)
//                     └► failed: on with the next                        all have failed ─► done(error)
//
// One that cannot be reached (its server is being restarted) is tried again while another keeps all waiting
// that has not answered yet: every Host::kRetryGap, and at once when the network changes, in the first
// kTriedAgain of a race.
//
// Only one login is under way at any time, on the whole way to any member: so no two members, and no two jump
// hosts on the way to them, ask a person at the same time; nor is a second one begun because a person is
// slow. A person who declines, or who was asked and did not answer, ends the race. A login that takes no
// person and does not come to an end is given up for the next one after kLoginPatience.
//
// Begun for upkeep or for a connection, it leaves out members whose login takes a person; its owner begins it
// anew when a user comes.
//
// Invariants: done() is called once, from the loop, unless stop() comes before; after either, what was
// dialled for the race and is wanted by nobody else is withdrawn.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "route/bastion_choice.h"
#include "route/host.h"
#include "stream/io.h"

namespace jump {

class BastionRace {
 public:
  // Without an answer for so long, the next member is tried beside: a TCP connection and a key exchange take
  // some four round trips, and servers count connections that end without a login.
  static constexpr Duration kStagger = seconds(1);
  // A server whose user directory hangs lets nobody in, and says nothing.
  static constexpr Duration kLoginPatience = seconds(10);
  // Whoever waited for the race is told of another failure by then.
  static constexpr Duration kTriedAgain = seconds(60);
  // A failure that is older says nothing about the next attempt.
  static constexpr Duration kLately = seconds(300);

  using Done = std::function<void(Result<Host*>)>;
  // `asker`: kHopForUser, kHop or kHopForUpkeep. `changed`: another member is waited for. Both are called
  // from the loop.
  BastionRace(Io& io, HostDirectory& directory, std::string title, Host::Asker asker,
              std::function<void()> changed, Done done);
  ~BastionRace();
  BastionRace(const BastionRace&) = delete;
  BastionRace& operator=(const BastionRace&) = delete;

  // `avoid` was lost a moment ago: it is tried last. Empty: none was.
  void start(const std::vector<std::string>& members, const std::string& avoid);
  // Withdraws everything; done() does not come.
  void stop();

  // Some host has changed.
  void look_soon() { look_soon_->schedule(); }
  // The network has changed: what failed may not fail now.
  void nudge();
  // A member that is being tried, or whose connection one is to share.
  bool tries(const Host& host) const;
  // False: its question has to wait, as another login is under way. Whatever is not of this race may ask.
  bool may_ask(const Host& host);
  // Somebody waits now who is worth more than what it was begun for: what is tried is dialled without a
  // pause.
  void hurry(Host::Asker asker);
  // Members whose login takes a person are not tried, as it was not begun for a user.
  bool left_out_attended() const { return left_out_; }
  // A login is under way, or was successful just now.
  bool is_decided() const;

  // What the choice wants to know of a host.
  static BastionMember describe(const Host& host, TimePoint now);

 private:
  enum class State { kWaiting, kTrying, kFailed };
  struct Contender {
    explicit Contender(Host& member) : host(&member) {}
    Host* host;
    State state = State::kWaiting;
    bool connected = false;              // before it was tried
    TimePoint since{};                   // of kTrying
    std::unique_ptr<Operation> asked;    // in kTrying
    std::optional<Status> answer;        // that look() has not seen
    std::optional<Error> error;          // why it failed last
    TimePoint again = TimePoint::max();  // in kFailed: to be tried again, unless the race is over
  };

  void look();
  bool take_answers();
  void begin(Contender& contender);
  void withdraw(Contender& contender, State next, const Error& reason, Host::Left as);
  void fail(Contender& contender, const Error& error);
  TimePoint try_again();
  const Host* login_under_way(const Host* but = nullptr) const;
  bool hold_others(const Host& login);
  bool give_up(const Host& login);
  Contender* next();
  void finish(Result<Host*> result);
  Error failure() const;
  std::size_t waits_of_ours(const Host& host) const;
  bool is_slow(const Contender& contender) const;

  Io& io_;
  HostDirectory& directory_;
  const std::string title_;
  Host::Asker asker_;
  bool left_out_ = false;  // some members, whose login takes a person
  const std::function<void()> changed_;
  Done done_;                          // null once it was called, or stop()
  std::vector<Contender> contenders_;  // in the order of trial
  std::vector<Error> skipped_;         // why others are not among them
  TimePoint begun_;
  TimePoint next_begin_;  // of the next contender that waits
  std::unique_ptr<Deferred> look_soon_;
  std::unique_ptr<Timer> timer_;
};

}  // namespace jump
