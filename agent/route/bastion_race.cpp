#include "route/bastion_race.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/shell_quoted.h"
#include "route/failure.h"

namespace jump {
namespace {

// More than any route is long, with a follower at each step: no way leads further.
constexpr int kMaxWay = 64;

// The hosts that a login of `host` goes through now, itself first.
template <class Visit>
bool any_on_way(const Host& host, Visit visit) {
  const Host* each = &host;
  for (int i = 0; each && i < kMaxWay; ++i) {
    if (visit(*each)) return true;
    each = each->leader() ? each->leader() : each->via();
  }
  return false;
}

bool is_on_way(const Host& wanted, const Host& host) {
  return any_on_way(host, [&wanted](const Host& each) { return &each == &wanted; });
}

// The server has answered, and what comes next may ask a person.
bool logs_in(const Host& host) {
  const Hop* hop = host.hop();
  return hop && (hop->state() == Hop::State::kAuthenticating || hop->asks_about_host_key());
}

}  // namespace

BastionRace::BastionRace(Io& io, HostDirectory& directory, std::string title, Host::Asker asker,
                         std::function<void()> changed, Done done)
    : io_(io),
      directory_(directory),
      title_(std::move(title)),
      asker_(asker),
      changed_(std::move(changed)),
      done_(std::move(done)),
      look_soon_(io.deferred([this] { look(); })),
      timer_(io.timer([this] { look(); })) {}

BastionRace::~BastionRace() = default;

void BastionRace::start(const std::vector<std::string>& members, const std::string& avoid) {
  std::vector<Host*> hosts;
  std::vector<BastionMember> known;
  for (const std::string& name : members) {
    Result<Host*> host = directory_.member(name);
    if (!host) {
      skipped_.push_back(host.error());
      continue;
    }
    hosts.push_back(*host);
    known.push_back(describe(**host, io_.now()));
    if (name == avoid) known.back().failed_ago = Duration::zero();
  }
  std::vector<std::size_t> order;
  if (const auto ready = fastest_ready(known)) {
    order = {*ready};
  } else {
    const auto takes_person = [](const BastionMember& each) {
      return each.takes == BastionMember::Takes::kPerson;
    };
    const auto connected = [](const BastionMember& each) { return each.connected; };
    const bool may_ask =
        asker_ == Host::Asker::kHopForUser && std::none_of(known.begin(), known.end(), connected);
    left_out_ = !may_ask && std::any_of(known.begin(), known.end(), takes_person);
    order = order_of_trial(known, may_ask ? Attended::kYes : Attended::kNo);
  }
  for (std::size_t place : order) contenders_.emplace_back(*hosts[place]);
  for (std::size_t i = 0; i < hosts.size() && left_out_; ++i) {
    if (known[i].takes == BastionMember::Takes::kPerson && !known[i].connected)
      skipped_.push_back({Errc::kNeedsPerson, hosts[i]->name() + ": its login takes a person", {}});
  }
  begun_ = next_begin_ = io_.now();
  look_soon();
}

BastionMember BastionRace::describe(const Host& host, TimePoint now) {
  using Takes = BastionMember::Takes;
  BastionMember member;
  member.connected = host.ready();
  member.ready = member.connected && !host.in_doubt();
  member.round_trip = host.round_trip();
  const std::optional<Error>& error = host.last_error();
  if (error && now - host.error_time() < kLately) member.failed_ago = now - host.error_time();
  if (host.took_person()) member.takes = *host.took_person() ? Takes::kPerson : Takes::kNoPerson;
  if (error && (error->code == Errc::kNeedsPerson || error->code == Errc::kCancelled))
    member.takes = Takes::kPerson;
  return member;
}

void BastionRace::look() {
  if (!done_) return;
  if (take_answers()) return;
  if (const Host* login = login_under_way()) {
    const bool held = hold_others(*login);
    if (!give_up(*login)) {
      next_begin_ = io_.now() + kStagger;
      if (held) changed_();
      return;
    }
  }
  Contender* waiting = next();
  if (waiting && io_.now() >= next_begin_) {
    begin(*waiting);
    waiting = next();
  }
  if (waiting) return timer_->start(next_begin_ - io_.now());
  const bool over = std::all_of(contenders_.begin(), contenders_.end(),
                                [](const Contender& each) { return each.state == State::kFailed; });
  if (over) return finish(failure());
  if (const TimePoint again = try_again(); again != TimePoint::max()) timer_->start(again - io_.now());
}

// When one of those that failed is to be tried again: now, if it may be; max(): none of them ever. Once each
// has failed, the others' failure is no news to wait for.
TimePoint BastionRace::try_again() {
  const bool all_failed = std::all_of(contenders_.begin(), contenders_.end(),
                                      [](const Contender& each) { return each.error.has_value(); });
  if (all_failed) return TimePoint::max();
  TimePoint first = TimePoint::max();
  for (const Contender& each : contenders_) {
    if (each.state == State::kFailed) first = std::min(first, each.again);
  }
  const TimePoint now = io_.now();
  if (first > now) return first;
  for (Contender& each : contenders_) {
    if (each.state == State::kFailed && each.again <= now) each.state = State::kWaiting;
  }
  return now;
}

void BastionRace::nudge() {
  for (Contender& each : contenders_) {
    if (each.again == TimePoint::max()) continue;
    each.again = std::max(each.again - Host::kRetryGap + Host::kFreshDial, io_.now());
  }
  look_soon();
}

// True: the race is over.
bool BastionRace::take_answers() {
  for (Contender& each : contenders_) {
    if (!each.answer) continue;
    const Status answer = *std::exchange(each.answer, std::nullopt);
    each.asked.reset();
    if (answer && each.host->ready()) {
      finish(each.host);
      return true;
    }
    const Error error =
        answer ? Error{Errc::kClosed, each.host->name() + ": its connection has ended", {}} : answer.error();
    fail(each, error);
    const bool asked_in_vain =
        error.code == Errc::kNeedsPerson &&
        any_on_way(*each.host, [](const Host& host) { return host.left_unanswered(); });
    if (error.code != Errc::kCancelled && !asked_in_vain) continue;
    finish(error);
    return true;
  }
  return false;
}

void BastionRace::begin(Contender& contender) {
  const TimePoint now = io_.now();
  next_begin_ = now + kStagger;
  contender.state = State::kTrying;
  contender.connected = contender.host->ready();
  contender.since = now;
  log::debug("{}: tries {}", title_, contender.host->name());
  contender.asked =
      contender.host->acquire(asker_, Host::kCarrierTimeout, [this, &contender](const Result<Mux*>& mux) {
        contender.answer = mux ? Status() : Status(mux.error());
        look_soon();
      });
  changed_();
}

void BastionRace::fail(Contender& contender, const Error& error) {
  contender.asked.reset();
  contender.state = State::kFailed;
  contender.error = error;
  const TimePoint again = io_.now() + Host::kRetryGap;
  // A login that broke off is not repeated: it might lock the account.
  const bool may = error.code == Errc::kUnreachable && again < begun_ + kTriedAgain;
  contender.again = may ? again : TimePoint::max();
  next_begin_ = io_.now();
}

void BastionRace::withdraw(Contender& contender, State next, const Error& reason, Host::Left as) {
  contender.asked.reset();
  contender.answer.reset();
  contender.state = next;
  if (!contender.connected) contender.host->leave_unused(reason, as);
}

// It had its time, and others were faster: it is no good first choice the next time.
bool BastionRace::is_slow(const Contender& contender) const {
  return io_.now() - contender.since >= kStagger;
}

BastionRace::Contender* BastionRace::next() {
  const auto found = std::find_if(contenders_.begin(), contenders_.end(),
                                  [](const Contender& each) { return each.state == State::kWaiting; });
  return found == contenders_.end() ? nullptr : &*found;
}

bool BastionRace::tries(const Host& host) const {
  return std::any_of(contenders_.begin(), contenders_.end(), [&host](const Contender& each) {
    return each.state == State::kTrying && (each.host == &host || each.host->leader() == &host);
  });
}

// --- one login at a time
// ------------------------------------------------------------------------------------------------

// The one that began first, other than `but`; null: none is under way.
const Host* BastionRace::login_under_way(const Host* but) const {
  const Host* first = nullptr;
  for (const Contender& each : contenders_) {
    if (each.state != State::kTrying) continue;
    any_on_way(*each.host, [&](const Host& host) {
      if (&host == but || !logs_in(host)) return false;
      if (!first || host.hop()->since() < first->hop()->since()) first = &host;
      return true;
    });
  }
  return first;
}

// True: some were withdrawn.
bool BastionRace::hold_others(const Host& login) {
  bool held = false;
  for (Contender& each : contenders_) {
    if (each.state != State::kTrying || is_on_way(login, *each.host)) continue;
    withdraw(each, State::kWaiting, Error{Errc::kTimeout, login.name() + " was faster to answer", {}},
             is_slow(each) ? Host::Left::kFailed : Host::Left::kUnused);
    held = true;
  }
  return held;
}

// True: the login takes too long, and there is somebody else to try.
bool BastionRace::give_up(const Host& login) {
  const Hop& hop = *login.hop();
  const bool hangs = hop.state() == Hop::State::kAuthenticating && !hop.attended();
  if (!hangs || !next()) return false;
  const Duration left = hop.since() + kLoginPatience - io_.now();
  if (left > Duration::zero()) {
    timer_->start(left);
    return false;
  }
  for (Contender& each : contenders_) {
    if (each.state != State::kTrying) continue;
    const Error error{
        Errc::kTimeout,
        fmt::format("its login did not come to an end within {:.0f} s", to_seconds(kLoginPatience)),
        {}};
    withdraw(each, State::kFailed, error, Host::Left::kFailed);
    fail(each, error.context(login.name()));
    each.again = TimePoint::max();  // it would hang again
  }
  return true;
}

// How many of those that wait for `host` do so for this race.
std::size_t BastionRace::waits_of_ours(const Host& host) const {
  return static_cast<std::size_t>(
      std::count_if(contenders_.begin(), contenders_.end(), [&host](const Contender& each) {
        return each.state == State::kTrying && is_on_way(host, *each.host);
      }));
}

bool BastionRace::is_decided() const {
  const auto is_ready = [](const Contender& each) {
    return each.state == State::kTrying && (each.answer || each.host->ready());
  };
  return login_under_way() || std::any_of(contenders_.begin(), contenders_.end(), is_ready);
}

void BastionRace::hurry(Host::Asker asker) {
  if (asker == Host::Asker::kHopForUser || asker_ == Host::Asker::kHopForUpkeep) asker_ = asker;
  for (Contender& each : contenders_) {
    if (each.state == State::kTrying) each.host->be_hurried();
  }
}

bool BastionRace::may_ask(const Host& host) {
  const std::size_t ours = waits_of_ours(host);
  if (!done_ || ours == 0 || host.wanted() || host.waiting() > ours) return true;
  look_soon();  // whoever may ask is the only one
  return !login_under_way(&host);
}

// --- the end
// ------------------------------------------------------------------------------------------------------------

void BastionRace::finish(Result<Host*> result) {
  Done done = std::exchange(done_, nullptr);
  for (Contender& each : contenders_) {
    if (each.state != State::kTrying || (result && each.host == *result)) continue;
    const std::string why =
        result ? (*result)->name() + " was faster" : title_ + " is not looked for any more";
    withdraw(each, State::kWaiting, Error{Errc::kTimeout, why, {}},
             result && is_slow(each) ? Host::Left::kFailed : Host::Left::kUnused);
  }
  timer_->stop();
  if (done) done(std::move(result));
}

void BastionRace::stop() {
  if (std::exchange(done_, nullptr)) finish(Error{Errc::kClosed, {}, {}});
}

// Each member with its reason. What time mends for one of them, time mends for all.
Error BastionRace::failure() const {
  std::vector<Error> all = skipped_;
  for (const Contender& each : contenders_) all.push_back(*each.error);
  Error error{Errc::kNeedsPerson, {}, {}};
  for (const Error& each : all) {
    error.message += (error.message.empty() ? "" : "; ") + each.message;
    if (error.hint.empty()) error.hint = each.hint;
  }
  const auto mends =
      std::find_if(all.begin(), all.end(), [](const Error& each) { return mends_itself(each); });
  if (mends != all.end()) {
    error.code = mends->code;
  } else if (!all.empty()) {
    error.code = all.front().code;
  }
  error.message = "no member could be connected to: " + error.message;
  if (error.code == Errc::kNeedsPerson || left_out_)
    error.hint = "log in: jumpctl connect " + shell_quoted(title_);
  return error.context(title_);
}

}  // namespace jump
