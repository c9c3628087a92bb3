#include "route/host.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/log.h"
#include "base/shell_quoted.h"
#include "route/bastion_race.h"
#include "route/carried_dial.h"
#include "route/failure.h"

namespace jump {
namespace {

// What has failed for a reason that does not go away is tried again for them.
bool by_user(Host::Asker asker) { return asker == Host::Asker::kUser || asker == Host::Asker::kHopForUser; }

// Asks for another host's sake.
bool by_hop(Host::Asker asker) {
  return asker == Host::Asker::kHop || asker == Host::Asker::kHopForUser ||
         asker == Host::Asker::kHopForUpkeep;
}

// Only keeps things as they are, and has no part in how soon: a server that drops every login would get one a
// second.
bool by_upkeep(Host::Asker asker) {
  return asker == Host::Asker::kUpkeep || asker == Host::Asker::kHopForUpkeep;
}

}  // namespace

// One acquire() that has not been answered.
class Host::Waiter final : public Operation {
 public:
  Waiter(Host& host, Asker asker, Duration timeout, Acquired done)
      : host_(&host),
        asker_(asker),
        number_(++host.last_waiter_),
        joined_(host.state_ == State::kResolving || host.state_ == State::kConnecting),
        since_(host.io_.now()),
        done_(std::move(done)) {
    place_ = host.waiters_.insert(host.waiters_.end(), this);
    timer_ = host.io_.timer([this] {
      std::string message = host_->title_ + " was not connected in time";
      if (host_->last_error_ && host_->error_time_ >= since_)
        message += " (" + host_->last_error_->message + ")";
      answer(Error{Errc::kTimeout, std::move(message), {}});
    });
    timer_->start(timeout);
  }
  ~Waiter() override {
    if (host_) host_->waiters_.erase(place_);
  }

  // The asker may destroy this from within `done`.
  void answer(Result<Mux*> result) {
    host_->waiters_.erase(place_);
    host_ = nullptr;
    timer_->stop();
    Acquired done = std::move(done_);
    done(std::move(result));
  }

  Asker asker() const { return asker_; }
  // It came to a login that others had begun, and after what that asked in vain.
  bool came_late() const { return by_user(asker_) && joined_ && number_ > host_->missed_by_; }
  void begins_anew() { joined_ = false; }
  // It came when the hop had ended and the host had not heard of that, or may have: it wants the next
  // connection.
  void comes_after_break() { after_break_ = true; }
  bool after_break() const { return after_break_; }
  // The host has heard. True: a user who came like that.
  bool break_was_heard() {
    if (!std::exchange(after_break_, false)) return false;
    joined_ = false;
    return by_user(asker_);
  }

 private:
  Host* host_;  // null once answered
  const Asker asker_;
  const std::uint64_t number_;
  bool joined_;
  bool after_break_ = false;
  const TimePoint since_;
  std::list<Waiter*>::iterator place_;
  Acquired done_;
  std::unique_ptr<Timer> timer_;
};

// One watch(). It may outlive the host.
class Host::Watcher final : public Operation {
 public:
  Watcher(Host& host, std::function<void()> connected)
      : host_(&host), soon_(host.io_.deferred(std::move(connected))) {
    place_ = host.watchers_.insert(host.watchers_.end(), this);
  }
  ~Watcher() override {
    if (host_) host_->watchers_.erase(place_);
  }
  void tell() { soon_->schedule(); }
  void leave() { host_ = nullptr; }

 private:
  Host* host_;  // null once it has gone
  std::list<Watcher*>::iterator place_;
  const std::unique_ptr<Deferred> soon_;
};

// Waits until no other login of the same bastion is under way; mostly it is withdrawn before.
class Host::HeldQuestion final : public Operation {
 public:
  HeldQuestion(Host& host, Prompter& asking, Question question, Prompter::Answered done)
      : host_(host), asking_(asking), question_(std::move(question)), done_(std::move(done)) {
    timer_ = host.io_.timer([this] { look(); });
    timer_->start(kHeldQuestion);
  }

 private:
  void look() {
    if (!host_.directory_.may_ask(host_)) return timer_->start(kHeldQuestion);
    asked_ = asking_.ask(std::move(question_), std::move(done_));
  }

  Host& host_;
  Prompter& asking_;
  Question question_;
  Prompter::Answered done_;
  std::unique_ptr<Timer> timer_;
  std::unique_ptr<Operation> asked_;
};

// Questions of the login go to whoever waits for it, and is told when one went without an answer.
class Host::Asking final : public Prompter {
 public:
  Asking(Host& host, Prompter& to) : host_(host), to_(to) {}
  std::unique_ptr<Operation> ask(Question question, Answered done) override {
    if (!host_.directory_.may_ask(host_))
      return std::make_unique<HeldQuestion>(host_, *this, std::move(question), std::move(done));
    address(question);
    question.after_login = host_.ready();
    return to_.ask(std::move(question), [this, done = std::move(done)](Result<std::vector<Secret>> answers) {
      if (!answers && answers.error().code == Errc::kNeedsPerson) {
        host_.left_unanswered_ |= !answers.error().message.starts_with(kNobodyIsThere);
        host_.on_missed();
      }
      done(std::move(answers));
    });
  }
  void show(Question notice) override {
    address(notice);
    to_.show(std::move(notice));
  }
  void who_waits_changed() override { to_.who_waits_changed(); }

 private:
  void address(Question& question) {
    question.host = host_.title_;
    question.waited_for = [this] { return host_.names_that_wait(); };
  }

  Host& host_;
  Prompter& to_;
};

Host::Host(Io& io, WindowBudget& budget, RouteFinder& routes, HostDirectory& directory, std::string name,
           std::string jump, Lanes lanes, Prompter* prompter)
    : io_(io),
      budget_(budget),
      routes_(routes),
      directory_(directory),
      prompter_(prompter ? std::make_unique<Asking>(*this, *prompter) : nullptr),
      name_(std::move(name)),
      jump_(std::move(jump)),
      title_(Route::Step{name_, jump_, {}}.title()),
      since_(io.now()),
      backoff_(static_cast<std::uint_fast32_t>(std::random_device()())),
      lanes_(lanes),
      lane_(
          io, budget, contention_, [this] { on_hop_changed(); }, [this](Mux& mux) { on_ending(mux); }),
      sessions_(io, budget, contention_, *this, [this] { on_hop_changed(); }),
      rescue_(
          io, budget, contention_, [this] { on_hop_changed(); }, [this](Mux& mux) { on_ending(mux); },
          [this] { return first_in_doubt(); }),
      waiting_room_(io, budget) {
  answer_soon_ = io_.deferred([this] { answer_pending(); });
  retry_timer_ = io_.timer([this] { retry(); });
  lane_timer_ = io_.timer([this] { open_lane(); });
  doubt_timer_ = io_.timer([this] { on_doubt_timer(); });
  openings_timer_ = io_.timer([this] { look_at_openings(); });
  contention_->on_met([this] { on_contention(); });
}

Host::~Host() {
  for (Watcher* watcher : watchers_) watcher->leave();
  contention_->on_met(nullptr);
  Error ending{Errc::kClosed, "the agent is shutting down", {}};
  if (leader_) lose_leader(ending, State::kIdle);
  release_followers(ending, State::kIdle);
  rescue_.end(ending);  // before the other, whose place it would take
  lane_.end(ending);
  sessions_.end(ending);
  if (hop_) hop_->on_ending(nullptr);
  if (hop_) hop_->close(ending);
  waiting_room_.end(ending);
  answer_all(nullptr);
}

std::unique_ptr<Operation> Host::acquire(Asker asker, Duration timeout, Acquired done) {
  auto waiter = std::make_unique<Waiter>(*this, asker, timeout, std::move(done));
  wanted_ |= !by_hop(asker);
  bool away = state_ == State::kIdle || state_ == State::kDown;
  if (hop_ && hop_->state() == Hop::State::kClosed) {
    waiter->comes_after_break();
    answer_soon_->schedule();  // not now: others would hear of the break from inside of this call
  } else if (state_ == State::kReady) {
    if (by_user(asker) && unsure()) waiter->comes_after_break();  // should that be what is found
    answer_soon_->schedule();
  } else if (away && !by_user(asker) && needs_person()) {
    answer_soon_->schedule();
  } else if (away && (by_user(asker) || !last_error_ || io_.now() >= next_try())) {
    begin();
  } else if (away) {
    retry_at(next_try());
  } else if (!by_upkeep(asker)) {
    hurry();
  }
  return waiter;
}

// Somebody waits: so does the host that it goes through or follows, which may have been asked for upkeep
// only.
void Host::hurry() {
  Host* other = leader_ ? leader_ : hop_ ? via_ : nullptr;
  if (state_ != State::kConnecting || !other) return;
  if (other->state_ == State::kDown && other->worth_a_retry()) {
    other->hurried_ = true;
    other->retry_at(std::min(other->next_dial_, other->error_time_ + kRetryGap));
  } else {
    other->hurry();
  }
}

// The next dial.
TimePoint Host::next_try() const {
  const bool awaited = waiting_room_.size() > 0 ||
                       std::any_of(waiters_.begin(), waiters_.end(),
                                   [](const Waiter* waiter) { return !by_upkeep(waiter->asker()); });
  return awaited ? std::min(next_dial_, error_time_ + kRetryGap) : next_dial_;
}

// The last failure is not of the kind that time mends.
bool Host::needs_person() const { return last_error_ && !mends_itself(*last_error_); }

std::unique_ptr<Operation> Host::watch(std::function<void()> connected) {
  return std::make_unique<Watcher>(*this, std::move(connected));
}

// Answers those whose answer is known already.
void Host::answer_pending() {
  if (hop_ && hop_->state() == Hop::State::kClosed) on_hop_changed();
  if (state_ == State::kReady && !waiters_.empty() && question_doubt()) return;
  if (state_ == State::kReady) return answer_all(nullptr);
  if ((state_ == State::kDown || state_ == State::kIdle) && needs_person()) {
    Error error = *last_error_;
    answer_all(&error);
  }
}

void Host::expect_person(bool takes) {
  if (state_ != State::kIdle || last_error_) return;
  took_person_ = takes;
  if (!takes) return;
  error_time_ = io_.now();
  last_error_ = break_of_login(Error{Errc::kClosed, title_ + ": the agent has been replaced", {}});
  set_state(State::kDown);
}

void Host::forget_failure() {
  if (state_ == State::kDown) last_error_.reset();
}

void Host::unblock() {
  blocked_by_ = nullptr;
  if (state_ != State::kDown || !last_error_) return;
  last_error_->code = Errc::kClosed;
  last_error_->hint.clear();
  next_dial_ = io_.now();
  if (worth_a_retry()) retry_at(next_dial_);
}

// What ssh_config says may be half of what it is going to say: asking it again tries no login.
bool Host::worth_a_retry() const {
  const bool away = state_ == State::kIdle || state_ == State::kDown;
  if (away && kept_ && last_error_ && last_error_->code == Errc::kInvalid) return true;
  return away && (kept_ || !waiters_.empty() || waiting_room_.size() > 0) && !needs_person();
}

void Host::retry() {
  if (worth_a_retry()) begin();
}

void Host::retry_at(TimePoint when) { retry_timer_->start(std::max(when - io_.now(), Duration::zero())); }

void Host::nudge() {
  backoff_.reset();
  if (leader_) return;
  if (hop_ && ready()) {
    hop_->suspect();
    if (Hop* lane = lane_.ready()) lane->suspect();
    sessions_.suspect();
    rescue_.nudge();
    save_openings();
    on_heard();
    return;
  }
  if (state_ == State::kConnecting) return redial();
  if (io_.now() - error_time_ >= kFreshDial) return retry();
  retry_at(std::min(next_dial_, error_time_ + kFreshDial));
}

void Host::suspect() {
  if (leader_) return leader_->suspect();
  if (hop_ && ready()) hop_->suspect();
}

// A dial over the network that was: its packets may be lost, and the next try of TCP far away. Each time it
// is left alone for longer: where networks come and go all the time (containers), it has to get through, too.
void Host::redial() {
  if (!hop_ || via_) return;  // the jump host is nudged, too
  const bool dialing = hop_->state() == Hop::State::kConnecting || hop_->state() == Hop::State::kExchanging ||
                       (hop_->state() == Hop::State::kAuthenticating && !hop_->attended());
  if (!dialing || hop_->asks_about_host_key() || io_.now() - since_ < redial_age_) return;
  redial_age_ *= 2;
  hop_->close(Error{Errc::kUnreachable, "the network has changed", {}});
  io_.dispose(std::move(hop_));
  hop_.reset();
  since_ = io_.now();
  connect();
}

void Host::begin() {
  if (needs_person()) away_since_.reset();  // it was not dialled meanwhile
  set_state(State::kResolving);
  redial_age_ = kFreshDial;
  missed_by_ = 0;
  left_unanswered_ = false;
  if (!members().empty()) return find_member();
  serving_.clear();
  resolving_ = routes_.find(name_, jump_, [this](Result<Route> result) { on_resolved(std::move(result)); });
}

void Host::on_resolved(Result<Route> result) {
  if (!result) return go_down(before_login(result.error()));
  route_ = *std::move(result);
  note_ignored();
  if (Host* same = directory_.same_connection(*this, *route_)) return follow(*same);
  via_ = nullptr;
  if (route_->steps.size() > 1) {
    Result<Host*> carrier = directory_.carrier(route_->to_jump_host());
    if (!carrier) return go_down(carrier.error().context(title_));
    via_ = *carrier;
    if (is_circle()) {
      via_ = nullptr;
      return go_down(Error{Errc::kInvalid,
                           title_ + ": its jump host " + (*carrier)->title_ + " is reached through it",
                           "give it another ProxyJump, or none, in ssh_config"});
    }
  }
  connect();
}

void Host::connect() {
  set_state(State::kConnecting);
  std::string id = title_ + "#" + std::to_string(++attempts_);
  hop_ = std::make_shared<Hop>(
      io_, budget_, contention_, *spec(), std::move(id), [this] { on_hop_changed(); }, prompter_.get(),
      carried(as_a_hop()));
  hop_->on_ending([this](Mux& mux) { on_ending(mux); });
  hop_->start();
  if (via_ && prompter_) prompter_->who_waits_changed();
}

// Said once, and again when it changes.
void Host::note_ignored() {
  if (spec()->ignored == ignored_told_) return;
  ignored_told_ = spec()->ignored;
  for (const std::string& line : ignored_told_) log::warn("{}: ssh_config: {}", title_, line);
}

// Of the first connection or of the lane.
void Host::on_hop_changed() {
  directory_.host_changed();
  lane_.update();
  sessions_.update();
  rescue_.update();
  if (!hop_) return;
  if (hop_->state() == Hop::State::kClosed) {
    Error error = break_of_login(hop_->login_began() ? hop_->error() : before_login(hop_->error()));
    const Host* culprit = blocking();
    round_trip_ = round_trip();
    io_.dispose(std::move(hop_));
    hop_.reset();
    if (!promote_lane(error)) go_down(std::move(error), culprit);
    return;
  }
  if (hop_->state() == Hop::State::kReady && state_ != State::kReady) {
    logins_++;
    took_person_ = hop_->needed_person();
    broken_logins_ = 0;
    lane_.allow();
    sessions_.allow();
    rescue_.allow();
    last_error_.reset();
    kept_ = wanted_;
    set_state(State::kReady);
    answer_all(nullptr);
  }
  if (!ready()) return;
  save_openings();
  on_heard();
}

void Host::disconnect(const Error& reason) {
  if (leader_) {
    Host& leader = *leader_;
    lose_leader(reason, State::kIdle);  // a bastion must not look for another member
    return leader.disconnect(reason);
  }
  end_race();
  calling_.reset();
  sessions_.close(reason);
  rescue_.close(reason);  // before the other, whose place it would take
  lane_.close(reason);
  if (hop_) {
    hop_->on_ending(nullptr);  // nobody waits for another one
    hop_->close(reason);
    io_.dispose(std::move(hop_));
    hop_.reset();
  }
  waiting_room_.refuse(reason);
  resolving_.reset();  // also of those who asked again as their channels ended
  retry_timer_->stop();
  backoff_.reset();
  wanted_ = kept_ = false;
  set_state(State::kIdle);
  release_followers(reason, State::kIdle);
  answer_all(&reason);
}

// The host that this one cannot be connected without, and which has to be mended first; null: there is none.
// A login of our own that takes a person has to wait for one anyway.
const Host* Host::blocking() const {
  const Host* other = leader_ ? leader_ : via_;
  const bool blocks = other && other->state_ == State::kDown && other->needs_person();
  return blocks && !took_person_.value_or(false) ? other : nullptr;
}

void Host::go_down(Error error, const Host* blocked_by) {
  blocked_by_ = blocked_by;
  hurried_ = false;
  error = break_of_login(std::move(error));
  lane_.close(error);  // it was still logging in
  rescue_.close(error);
  error_time_ = io_.now();
  const bool was_ready = state_ == State::kReady;
  if (was_ready && error_time_ - since_ >= kStable) backoff_.reset();
  const bool at_once = was_ready && (backoff_.is_fresh() || has_alternative());
  const Duration pause = backoff_.next();
  next_dial_ = at_once ? error_time_ : error_time_ + pause;
  last_error_ = std::move(error);
  set_state(State::kDown);
  Error copy = *last_error_;
  release_followers(copy, State::kDown);
  if (needs_person()) waiting_room_.refuse(copy);
  answer_all(&copy);
  bool user_came = false;
  for (Waiter* waiter : waiters_) user_came |= waiter->break_was_heard();
  if (state_ != State::kDown) return;  // who was answered has asked again
  if (user_came) return begin();
  const auto late = [](const Waiter* waiter) { return waiter->came_late(); };
  if (needs_person() && std::any_of(waiters_.begin(), waiters_.end(), late)) return begin_for_the_late();
  if (worth_a_retry()) retry_at(next_try());
}

// A login that took a person is not begun again without one: it would be a code that nobody asked for.
Error Host::break_of_login(Error error) {
  if (hop_ && hop_->login_broke() && error.code == Errc::kAuth) {
    const bool let_in_before = took_person_.has_value() && !*took_person_;
    if (++broken_logins_ < kBrokenLogins || let_in_before) error.code = Errc::kClosed;
  }
  if (!took_person_.value_or(false) || !mends_itself(error)) return error;
  return Error{Errc::kNeedsPerson, error.message + "; its login takes a person",
               "log in again: jumpctl connect " + shell_quoted(title_)};
}

// Those whom answer_all() has left out, though nothing mends itself.
void Host::begin_for_the_late() {
  for (Waiter* waiter : waiters_) waiter->begins_anew();
  begin();
}

// Answers those who wait now; null: with the ready connection. After a failure that may mend itself,
// connections wait on; after a login that wanted a person in vain, so do users who were not there then. Those
// who ask again meanwhile are not answered here, so that a request repeated on refusal cannot spin.
void Host::answer_all(const Error* error) {
  const bool patient = error && state_ == State::kDown && !needs_person();
  const bool unattended = error && state_ == State::kDown && error->code == Errc::kNeedsPerson;
  const bool broken = error && state_ == State::kDown;
  const bool unsure_yet = !error && unsure();
  auto due = [patient, unattended, broken, unsure_yet](const Waiter* waiter) {
    return !(patient && waiter->asker() == Asker::kConnection) && !(unattended && waiter->came_late()) &&
           !((broken || unsure_yet) && waiter->after_break());
  };
  Error ended{Errc::kClosed, "the connection to " + title_ + " has ended", {}};
  // Whoever is answered may withdraw others, so each is looked for anew.
  for (auto left = std::count_if(waiters_.begin(), waiters_.end(), due); left > 0; --left) {
    auto next = std::find_if(waiters_.begin(), waiters_.end(), due);
    if (next == waiters_.end()) return;
    if (error) {
      (*next)->answer(*error);
    } else if (Mux* ready = mux()) {
      if ((*next)->asker() == Asker::kConnection) on_open();
      watch_openings();
      (*next)->answer(ready);
    } else {
      (*next)->answer(ended);
    }
  }
}

// --- other hosts
// ------------------------------------------------------------------------------------------------

// How the hop goes through the jump host, if there is one.
Hop::Via Host::carried(Asker asker) {
  if (!via_) return {};
  Endpoint target{spec()->host, spec()->port, {}};
  std::size_t jumps = route_->steps.size() - 1;
  std::string description = route_->steps[jumps - 1].spec.describe();
  auto dial = [this, asker, target, description,
               limit = spec()->connect_timeout](Io::DialResult done) -> std::unique_ptr<Operation> {
    auto acquire = [via = via_, asker](Acquired acquired) {
      return via->acquire(asker, kCarrierTimeout, std::move(acquired));
    };
    return std::make_unique<CarriedDial>(io_, acquire, description, target, limit, std::move(done));
  };
  return Hop::Via{description, std::move(dial)};
}

// What this host asks another one for.
Host::Asker Host::as_a_hop() const {
  Asker asker = hurried_ || waiting_room_.size() > 0 ? Asker::kHop : Asker::kHopForUpkeep;
  for (const Waiter* waiter : waiters_) {
    if (by_user(waiter->asker())) return Asker::kHopForUser;
    if (!by_upkeep(waiter->asker())) asker = Asker::kHop;
  }
  return asker;
}

// This one, and all whose logins wait for this one's: those that follow it, those behind it. A chain has an
// end: what lies behind a host has a longer route.
std::vector<Host*> Host::dependants() {
  std::vector<Host*> all = {this};
  all.insert(all.end(), followers_.begin(), followers_.end());
  for (Host* bastion : directory_.suitors(*this)) {
    std::vector<Host*> behind = bastion->dependants();
    all.insert(all.end(), behind.begin(), behind.end());
  }
  for (Host* carried : directory_.carried_by(*this)) {
    if (carried->ready()) continue;
    std::vector<Host*> behind = carried->dependants();
    all.insert(all.end(), behind.begin(), behind.end());
  }
  return all;
}

std::vector<std::string> Host::names_that_wait() {
  std::vector<std::string> names;
  for (const Host* host : dependants()) names.push_back(host->title_);
  return names;
}

// A question went without an answer: whoever waits now has had the chance.
void Host::on_missed() {
  for (Host* host : dependants()) host->missed_by_ = host->last_waiter_;
}

void Host::follow(Host& leader) {
  log::info("{}: the same connection as {}", title_, leader.name());
  leader_ = &leader;
  leader.followers_.push_back(this);
  set_state(State::kConnecting);
  following_ = leader.acquire(as_a_hop(), kCarrierTimeout,
                              [this](const Result<Mux*>& result) { on_leader_answer(result); });
  if (prompter_) prompter_->who_waits_changed();
}

void Host::on_leader_answer(const Result<Mux*>& result) {
  if (!result) return lose_leader(result.error(), State::kDown);
  last_error_.reset();
  kept_ = wanted_;
  set_state(State::kReady);
  answer_all(nullptr);
  if (leader_) on_heard();
}

void Host::lose_leader(const Error& error, State next) {
  following_.reset();
  const Host* culprit = blocking();
  std::erase(leader_->followers_, this);
  leader_ = nullptr;
  if (next == State::kDown) return go_down(lost_member(error).context(title_), culprit);
  wanted_ = kept_ = false;  // a user has ended it: no change of the network brings it back
  set_state(next);
  waiting_room_.refuse(error);
  answer_all(&error);
}

void Host::release_followers(const Error& error, State next) {
  while (!followers_.empty()) {
    Host& last = *followers_.back();
    last.lose_leader(error, last.serving_.empty() ? next : State::kDown);  // a bastion has other members
  }
}

// --- the lane
// ---------------------------------------------------------------------------------------------------

Mux* Host::first_mux() const {
  if (leader_) return ready() ? leader_->first_mux() : nullptr;
  const bool up = ready() && hop_ && hop_->state() == Hop::State::kReady;
  return up ? &hop_->mux() : nullptr;
}

Mux* Host::lasting_mux() const {
  const Host& own = leader_ ? *leader_ : *this;
  return own.hop_ && own.hop_->in_doubt() ? mux() : first_mux();
}

Mux* Host::mux() const {
  if (leader_) return ready() ? fastest()->mux() : nullptr;
  if (!ready() || !hop_ || hop_->state() != Hop::State::kReady) return nullptr;
  Hop* lane = lane_.ready();
  if (hop_->in_doubt()) {
    if (lane && !lane->in_doubt()) return &lane->mux();
    if (Hop* rescue = rescue_.ready()) return &rescue->mux();
  }
  if (!lane || lane->in_doubt()) return &hop_->mux();
  TimePoint now = io_.now();
  bool evade = lane->mux().bulk_channels(now) < hop_->mux().bulk_channels(now);
  return evade ? &lane->mux() : &hop_->mux();
}

// Bulk has company. Called from within a Mux, too: a timer is all that is touched.
void Host::on_contention() {
  bool possible = lanes_ == Lanes::kAsNeeded && ready() && hop_ && !hop_->needed_person();
  if (!possible || !lane_.may_open() || lane_decision_ != TimePoint::max()) return;
  lane_decision_ = io_.now() + kLasting;
  lane_timer_->start(kLasting);
}

// A channel is about to be opened, on the connection that answers for this host.
void Host::on_open() {
  if (leader_) return leader_->on_open();
  if (hop_ && hop_->state() == Hop::State::kReady && hop_->mux().bulk_channels(io_.now()) > 0)
    on_contention();
}

void Host::open_lane() {
  lane_decision_ = TimePoint::max();
  bool possible = ready() && hop_ && hop_->state() == Hop::State::kReady && !hop_->needed_person();
  if (!possible || hop_->mux().bulk_channels(io_.now()) == 0) return;
  lane_.open(*spec(), title_ + "#" + std::to_string(++attempts_), carried(Asker::kHop));
}

std::optional<TimePoint> Host::last_heard() const {
  if (leader_) return ready() ? leader_->last_heard() : std::nullopt;
  const bool up = ready() && hop_ && hop_->state() == Hop::State::kReady;
  return up ? std::optional(hop_->last_heard()) : std::nullopt;
}

bool Host::silent() const {
  if (leader_) return leader_->silent();
  if (!last_error_ || !hop_ || hop_->asks_about_host_key()) return false;
  return hop_->state() == Hop::State::kConnecting || hop_->state() == Hop::State::kExchanging;
}

std::optional<Error> Host::no_further() const {
  if (!ready() || !hop_ || hop_->state() != Hop::State::kReady)
    return Error{Errc::kClosed, "the connection to " + title_ + " has ended", {}};
  if (lanes_ == Lanes::kNever)
    return Error{Errc::kLimit, "further connections are switched off (--no-lanes)", {}};
  if (hop_->needed_person()) return Error{Errc::kLimit, "another login would take a person", {}};
  return std::nullopt;
}

void Host::dial_further(Lane& lane) {
  lane.open(*spec(), title_ + "#" + std::to_string(++attempts_), carried(Asker::kHop));
}

// Its channels go on, the next ones need no login. If the break was the network's, the lane's own end
// follows.
bool Host::promote_lane(const Error& error) {
  Hop* lane = lane_.ready();
  Hop* rescue = rescue_.ready();
  hop_ = rescue && (!lane || lane->in_doubt()) ? rescue_.take() : lane_.take();
  if (!hop_) return false;
  log::info("{}: {}; its second connection takes over", title_, error.message);
  hop_->on_ending([this](Mux& mux) { on_ending(mux); });
  hop_->suspect();  // finds out now, not at the next sign of life
  for (Watcher* watcher : watchers_) watcher->tell();
  return true;
}

void Host::set_state(State next) {
  if (next == state_) return;
  state_ = next;
  since_ = io_.now();
  if (next == State::kReady || next == State::kIdle) {
    away_since_.reset();
    hurried_ = false;
  }
  if (next == State::kDown && !away_since_) away_since_ = since_;
  directory_.host_changed();
  if (next != State::kReady) return;
  directory_.host_connected(*this);
  for (Watcher* watcher : watchers_) watcher->tell();
}

}  // namespace jump
