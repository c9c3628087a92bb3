#include "route/lane.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "route/failure.h"

namespace jump {

Lane::Lane(Io& io, WindowBudget& budget, std::shared_ptr<Contention> contention,
           std::function<void()> changed, Ending ending)
    : io_(io),
      budget_(budget),
      contention_(std::move(contention)),
      changed_(std::move(changed)),
      ending_(std::move(ending)) {
  look_timer_ = io_.timer([this] { look(); });
}

Lane::~Lane() { end(Error{Errc::kClosed, "the agent is shutting down", {}}); }

void Lane::end(const Error& reason) {
  std::shared_ptr<Hop> hop = std::exchange(hop_, nullptr);
  set_state(State::kNone);
  if (hop) hop->on_ending(nullptr);
  if (hop) hop->close(reason);
}

void Lane::open(const HopSpec& spec, const std::string& id, Hop::Via via) {
  if (!may_open()) return;
  id_ = id;
  hop_ = std::make_shared<Hop>(io_, budget_, contention_, spec, id_, changed_, nullptr, std::move(via));
  set_state(State::kDialling);
  hop_->on_ending(ending_);
  hop_->start();
}

void Lane::close(const Error& reason) {
  // First out of sight: those who hear of the end may ask for another connection at once.
  std::shared_ptr<Hop> hop = std::exchange(hop_, nullptr);
  set_state(State::kNone);
  if (!hop) return;
  hop->close(reason);
  io_.dispose(std::move(hop));
}

void Lane::update() {
  if (!hop_) return;
  if (hop_->state() == Hop::State::kClosed) return fail(hop_->error());
  if (hop_->state() != Hop::State::kReady || state_ == State::kReady) return;
  set_state(State::kReady);
  last_error_.reset();
  logins_++;
  if (hop_->needed_person()) next_try_ = TimePoint::max();  // the login before had not
  last_used_ = io_.now();
  look_timer_->start(kLookGap);
}

std::shared_ptr<Hop> Lane::take() {
  if (!ready()) return nullptr;
  set_state(State::kNone);
  next_try_ = std::max(next_try_, io_.now() + kRetryGap);
  return std::exchange(hop_, nullptr);
}

void Lane::fail(const Error& error) {
  last_error_ = error;
  bool again = mends_itself(error);
  log::info("{}: the second connection {}, {}", id_, state_ == State::kReady ? "broke" : "failed",
            again ? "the next try is a minute away at least" : "not tried again before the next login");
  next_try_ = again ? io_.now() + kRetryGap : TimePoint::max();
  io_.dispose(std::exchange(hop_, nullptr));
  set_state(State::kNone);
}

void Lane::look() {
  if (!ready()) return;
  const Mux& mux = hop_->mux();
  bool used = mux.open_channels() + mux.opening_channels() > 0;
  last_used_ = used ? io_.now() : std::max(last_used_, contention_->last_bulk());
  if (io_.now() - last_used_ >= kIdleTime) {
    return close(Error{Errc::kClosed, "the second connection has nothing to do", {}});
  }
  look_timer_->start(kLookGap);
}

void Lane::set_state(State next) {
  state_ = next;
  if (next != State::kReady) look_timer_->stop();
}

}  // namespace jump
