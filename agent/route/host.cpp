#include "route/host.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/log.h"
#include "base/shell_quoted.h"
#include "route/bastion_race.h"
#include "route/failure.h"
#include "route/host_waiters.h"

namespace jump {

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
  redial_timer_ = io_.timer([this] { look_at_young_dial(); });
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
  upkeep_ |= asker == Asker::kUpkeep;
  bool away = state_ == State::kIdle || state_ == State::kDown;
  const std::shared_ptr<Hop>& hop = leader_ ? leader_->hop_ : hop_;
  if (hop && hop->state() == Hop::State::kClosed) {
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
  if (state_ != State::kConnecting) return;
  if (race_) return hurry_race();
  if (other) other->be_hurried();
}

void Host::be_hurried() {
  if (state_ != State::kDown || !worth_a_retry()) return hurry();
  hurried_ = true;
  next_dial_ = std::min(next_dial_, error_time_ + kRetryGap);
  retry_at(next_dial_);
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
  Host& own = leader_ ? *leader_ : *this;
  if (own.hop_ && own.hop_->state() == Hop::State::kClosed) own.on_hop_changed();
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
  kept_ |= upkeep_ && !leaving_;  // it would be connected, had the other one been
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

void Host::nudge(Nudge why) {
  backoff_.reset();
  if (leader_) return;
  if (race_) return race_->nudge();
  if (hop_ && ready()) {
    if (via_ && why == Nudge::kNetwork) return;
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
  next_dial_ = std::min(next_dial_, error_time_ + kFreshDial);
  retry_at(next_dial_);
}

// A dial over the network that was: its packets may be lost, and the next try of TCP far away. Each time it
// is left alone for longer: where networks come and go all the time (containers), it has to get through, too.
// One that is too young is looked at again when it is not: if the server said nothing since, it never may.
void Host::redial() {
  if (!may_dial_anew()) return;
  const TimePoint now = io_.now(), ripe = since_ + redial_age_;
  if (now >= ripe) return dial_anew();
  changed_at_ = now;
  if (changed_dial_ == hop_.get()) return;
  changed_dial_ = hop_.get();
  redial_timer_->start(std::max(ripe, now + kFreshDial) - now);
}

// The jump host's dial is its own affair, as are a person's answers.
bool Host::may_dial_anew() const {
  if (!hop_ || via_ || hop_->asks_about_host_key()) return false;
  const Hop::State state = hop_->state();
  return state == Hop::State::kConnecting || state == Hop::State::kExchanging ||
         (state == Hop::State::kAuthenticating && !hop_->attended());
}

void Host::look_at_young_dial() {
  const Hop* dial = std::exchange(changed_dial_, nullptr);
  if (dial == hop_.get() && may_dial_anew() && hop_->last_heard() <= changed_at_) dial_anew();
}

void Host::dial_anew() {
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
  changed_dial_ = nullptr;
  redial_timer_->stop();
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
    kept_ = wanted_ && !leaving_;
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
  let_go();
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
