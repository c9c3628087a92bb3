// Which of a Host's connections carries what is new, and when there is to be a further one: where bulk would
// hold up what somebody waits for (lane.h), or where the first one has ended and another is there.
#include <string>
#include <utility>

#include "base/log.h"
#include "route/host_waiters.h"

namespace jump {

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
  if (!hop_) hop_ = rescue_.take();  // in doubt as it is: what it carries goes on if it lives
  if (!hop_) return false;
  log::info("{}: {}; its second connection takes over", title_, error.message);
  hop_->on_ending([this](Mux& mux) { on_ending(mux); });
  hop_->suspect();  // finds out now, not at the next sign of life
  for (Watcher* watcher : watchers_) watcher->tell();
  return true;
}

}  // namespace jump
