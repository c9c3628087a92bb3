// What a Host does that is a bastion, a name for several hosts: it looks for a member, follows the one that
// serves, and looks again when that one breaks. And what it does as a member that was not needed.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "route/bastion_race.h"
#include "route/failure.h"
#include "route/host.h"

namespace jump {

void Host::find_member() {
  set_state(State::kConnecting);
  route_.reset();
  race_ = std::make_shared<BastionRace>(
      io_, directory_, title_, as_a_hop(),
      [this] {
        if (prompter_) prompter_->who_waits_changed();
      },
      [this](const Result<Host*>& result) { on_member(result); });
  race_->start(members(), serving_);
}

void Host::on_member(const Result<Host*>& result) {
  const bool for_less = race_ && race_->left_out_attended();
  io_.dispose(std::exchange(race_, nullptr));
  // A user came meanwhile, whom the others may ask.
  const bool declined = !result && result.error().code == Errc::kCancelled;
  if (!result && !declined && for_less && as_a_hop() == Asker::kHopForUser) return begin();
  if (!result) return go_down(result.error());
  Host& member = **result;
  serving_ = member.name();
  called_.clear();
  route_ = member.route();
  log::info("{}: {} serves", title_, serving_);
  follow(member.leader_ ? *member.leader_ : member);
}

const std::vector<std::string>& Host::members() const {
  static const std::vector<std::string> none;
  return jump_.empty() ? directory_.members(name_) : none;
}

void Host::end_race() {
  if (!race_) return;
  race_->stop();
  io_.dispose(std::exchange(race_, nullptr));
}

// A race that was begun for less is begun anew for a user, whom logins may ask: the others were not among it.
void Host::hurry_race() {
  if (as_a_hop() == Asker::kHopForUser && race_->left_out_attended() && !race_->is_decided())
    return look_again();
  race_->hurry(as_a_hop());
}

void Host::look_again() {
  end_race();
  begin();
}

// What waits for this host would carry it.
bool Host::is_circle() {
  const std::vector<Host*> waiting = dependants();
  return std::find(waiting.begin(), waiting.end(), via_) != waiting.end();
}

// The member that new channels go through: the one that is followed, or one that is ready and much faster.
Host* Host::fastest() const {
  if (serving_.empty()) return leader_;
  if (Host* other = leader_->in_doubt() ? stand_in() : nullptr) return other;
  Host* best = leader_;
  for (const std::string& name : members()) {
    const Result<Host*> member = directory_.member(name);
    if (!member || !(*member)->mux() || (*member)->in_doubt()) continue;
    const TimePoint now = io_.now();
    if (much_faster(BastionRace::describe(**member, now), BastionRace::describe(*best, now))) best = *member;
  }
  return best;
}

// Another member that is connected, and answers; null: none.
Host* Host::stand_in() const {
  if (serving_.empty()) return nullptr;
  for (const std::string& name : members()) {
    const Result<Host*> member = directory_.member(name);
    if (!member || (*member)->name() == serving_ || (*member)->leader_ == leader_) continue;
    if ((*member)->mux() && !(*member)->in_doubt()) return *member;
  }
  return nullptr;
}

// The member that serves is in doubt, and has had its time: another one is connected meanwhile. True: that is
// under way.
bool Host::call_stand_in() {
  if (serving_.empty() || !leader_->hop_) return false;
  if (const Duration patience = leader_->hop_->question_doubt(); patience > Duration::zero()) {
    doubt_timer_->start(patience);
    return true;
  }
  if (calling_) return true;
  const std::vector<BastionMember> known = known_members();
  for (const std::size_t index : order_of_trial(known, Attended::kNo)) {
    const std::string& name = members()[index];
    const Result<Host*> member = directory_.member(name);
    if (!member || name == serving_ || (*member)->leader_ == leader_ || (*member)->ready() ||
        (*member)->needs_person())
      continue;
    log::info("{}: {} does not answer, {} is tried", title_, serving_, name);
    called_ = name;
    calling_ = (*member)->acquire(Asker::kHop, kCarrierTimeout, [this](const Result<Mux*>&) {
      io_.dispose(std::shared_ptr<Operation>(std::move(calling_)));
      doubt_timer_->start(Duration::zero());
    });
    return true;
  }
  return false;
}

// The one that serves answers again, or another one serves.
void Host::dismiss_stand_in() {
  if (called_.empty() || (leader_ && leader_->in_doubt())) return;
  calling_.reset();
  const Result<Host*> member = directory_.member(std::exchange(called_, {}));
  if (member && (*member)->name() != serving_)
    (*member)->leave_unused(Error{Errc::kClosed, serving_ + " answers again", {}}, Left::kUnused);
}

// A member that has not failed lately, as the one that served has.
bool Host::has_alternative() const {
  if (serving_.empty()) return false;
  const std::vector<BastionMember> known = known_members();
  return std::any_of(known.begin(), known.end(), [](const BastionMember& each) { return !each.failed_ago; });
}

std::vector<BastionMember> Host::known_members() const {
  std::vector<BastionMember> known;
  for (const std::string& name : members()) {
    if (const Result<Host*> member = directory_.member(name))
      known.push_back(BastionRace::describe(**member, io_.now()));
  }
  return known;
}

// The end of the member that served. That its login takes a person is no reason to wait for one, while there
// are others whose login does not.
Error Host::lost_member(Error error) const {
  if (serving_.empty() || mends_itself(error)) return error;
  if (!order_of_trial(known_members(), Attended::kNo).empty()) error.code = Errc::kClosed;
  return error;
}

void Host::leave_unused(const Error& reason, Left as) {
  const bool dialling = state_ == State::kResolving || state_ == State::kConnecting;
  if (wanted_ || !waiters_.empty() || !followers_.empty() || !directory_.carried_by(*this).empty()) return;
  if (leader_) {
    Host& leader = *leader_;
    lose_leader(reason, State::kIdle);
    return leader.leave_unused(reason, Left::kUnused);
  }
  const Mux* carries = mux();
  if (!dialling && !(carries && carries->open_channels() + carries->opening_channels() == 0)) return;
  Host* via = hop_ ? via_ : nullptr;
  const TimePoint failed = io_.now();
  disconnect(reason);
  if (as == Left::kFailed && dialling) {
    last_error_ = reason;
    error_time_ = failed;
  }
  if (via && !via->ready()) via->leave_unused(reason, Left::kUnused);
}

std::optional<Duration> Host::round_trip() const {
  if (leader_) return leader_->round_trip();
  const std::optional<Duration> measured = hop_ ? hop_->round_trip() : std::nullopt;
  return measured ? measured : round_trip_;
}

}  // namespace jump
