// What a Host does about its connection when that is in doubt, and about the channels that were asked for on
// one which has ended: they are asked for elsewhere, where there is one that answers, and else wait for the
// next.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "route/failure.h"
#include "route/host.h"

namespace jump {

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

// Nothing that is connected has answered lately.
bool Host::in_doubt() const {
  if (leader_) return ready() && leader_->in_doubt() && !stand_in();
  if (!ready() || !hop_ || !hop_->in_doubt()) return false;
  const Hop* lane = lane_.ready();
  return !(lane && !lane->in_doubt()) && !rescue_.ready();
}

// True: those who wait now are answered when something is heard, or another connection is there.
bool Host::question_doubt() {
  if (leader_) {
    if (!in_doubt()) return false;
    const bool waits = leader_->question_doubt();
    return call_stand_in() || waits;
  }
  if (!in_doubt()) return false;
  const Duration patience = hop_->question_doubt();
  if (patience > Duration::zero()) {
    doubt_timer_->start(patience);
    return true;
  }
  if (lanes_ == Lanes::kNever || hop_->needed_person()) return false;
  if (rescue_.busy()) return true;
  return rescue_.open(*spec(), title_ + "#" + std::to_string(++attempts_), carried(as_a_hop()));
}

void Host::question() {
  if (leader_) return leader_->question();
  if (!ready() || !hop_) return;
  hop_->question();
  doubt_timer_->start(Hop::kDoubt);  // should there be no answer
}

// A user is told of a connection that answers, not of one that did: it is alive or dead within what Liveness
// allows, and where a further one is possible, that may be there before.
bool Host::unsure() const {
  if (leader_) return ready() && !(leader_->in_doubt() && stand_in()) && leader_->unsure();
  return in_doubt() || (ready() && hop_ && hop_->questioned() && !hop_->in_doubt());
}

void Host::on_doubt_timer() {
  if (hop_ && hop_->questioned() && !hop_->in_doubt()) return doubt_timer_->start(Hop::kDoubtPatience);
  save_openings();
  // Channels that were asked for by a bastion's name; their owners know.
  if (const Host* other = leader_ && leader_->in_doubt() ? stand_in() : nullptr; other && leader_->hop_)
    leader_->hop_->mux().move_openings(*other->mux(), Mux::Move::kOnwards);
  if (!in_doubt() || !question_doubt()) on_heard();
}

// Channels are asked for: what the server owes an answer to for long is no worse off than who comes later.
void Host::watch_openings() {
  if (leader_) return ready() ? fastest()->watch_openings() : leader_->watch_openings();
  if (openings_look_ != TimePoint::max()) return;
  openings_look_ = io_.now() + Hop::kDoubt;
  openings_timer_->start(Hop::kDoubt);
}

void Host::look_at_openings() {
  openings_look_ = TimePoint::max();
  if (!ready() || !hop_ || hop_->state() != Hop::State::kReady || hop_->mux().opening_channels() == 0) return;
  save_openings();
  openings_look_ = io_.now() + Hop::kDoubtPatience;
  openings_timer_->start(Hop::kDoubtPatience);
}

// Channels that wait for an answer of the first connection, which is in doubt, are asked for where there is
// one that answers; that is dialled for them, too.
void Host::save_openings() {
  if (!ready() || !hop_ || hop_->state() != Hop::State::kReady || !hop_->in_doubt()) return;
  if (hop_->mux().opening_channels() == 0) return;
  if (!save_openings_of(hop_->mux(), Mux::Move::kOnwards)) (void)question_doubt();
  // Those that were asked for by the name of a bastion, which went through this one as it was faster.
  for (Host* bastion : directory_.bastions_of(*this)) {
    Mux* const other = bastion->leader_ && !bastion->in_doubt() ? bastion->mux() : nullptr;
    if (other && other != &hop_->mux()) hop_->mux().move_openings(*other, Mux::Move::kOnwards);
  }
  for (Host* follower : followers_) {
    if (follower->in_doubt()) (void)follower->question_doubt();
  }
}

// False: there is no connection that answers.
bool Host::save_openings_of(Mux& mux, Mux::Move move) {
  Hop* const first = hop_ && hop_->state() == Hop::State::kReady && !hop_->in_doubt() ? hop_.get() : nullptr;
  Hop* const lane = lane_.ready() && !lane_.ready()->in_doubt() ? lane_.ready() : nullptr;
  for (Hop* other : {first, lane, rescue_.ready()}) {
    if (!other || &other->mux() == &mux) continue;
    const std::size_t moved = mux.move_openings(other->mux(), move);
    if (moved > 0)
      log::info("{}: {} channels that wait for an answer go by {}", mux.id(), moved, other->id());
    return true;
  }
  return false;
}

// One of the connections ends. What the server has not answered waits for the next, each with the name that
// it was asked for by.
void Host::on_ending(Mux& mux) {
  if (!ready() || mux.opening_channels() == 0 || save_openings_of(mux, Mux::Move::kFromAnEnd)) return;
  std::size_t waiting = waiting_room_.take(mux);
  for (Host* follower : followers_) waiting += follower->waiting_room_.take(mux);
  if (waiting > 0) log::info("{}: {} channels wait for the next connection", mux.id(), waiting);
}

bool Host::is_served_by(const Mux& mux) const {
  const auto is = [&mux](const Hop* hop) {
    return hop && hop->state() == Hop::State::kReady && &hop->mux() == &mux;
  };
  if (is(hop_.get()) || is(lane_.ready())) return true;
  for (const auto& hop : rescue_.hops()) {
    if (is(hop.get())) return true;
  }
  if (leader_ && leader_->is_served_by(mux)) return true;
  const Host* other = stand_in();
  return other && other->is_served_by(mux);
}

bool Host::may_carry(const Mux& mux) const { return waiting_room_.is(mux) || is_served_by(mux); }

// Who waits though the host is ready may be answered now.
void Host::on_heard() {
  if (Mux* serving = waiting_room_.size() > 0 && !in_doubt() ? lasting_mux() : nullptr)
    (void)waiting_room_.leave_for(*serving);
  if (!waiters_.empty()) answer_soon_->schedule();
  dismiss_stand_in();
  const std::vector<Host*> all = followers_;  // one that is dismissed may be among them
  for (Host* follower : all) follower->on_heard();
}

}  // namespace jump
