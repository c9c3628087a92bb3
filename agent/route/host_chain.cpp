// A Host among others: the one that carries it, the one whose connection it shares, and those whose logins
// wait for its own.
#include <utility>

#include "base/log.h"
#include "route/carried_dial.h"
#include "route/host_waiters.h"

namespace jump {

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
  took_person_.reset();  // the leader knows
  kept_ = wanted_ && !leaving_;
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
  let_go();  // a user has ended it: no change of the network brings it back
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

}  // namespace jump
