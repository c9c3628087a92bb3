#include "route/rescue.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "route/failure.h"

namespace jump {

Rescue::Rescue(Io& io, WindowBudget& budget, std::shared_ptr<Contention> contention,
               std::function<void()> changed, Ending ending, std::function<bool()> needed)
    : io_(io),
      budget_(budget),
      contention_(std::move(contention)),
      changed_(std::move(changed)),
      ending_(std::move(ending)),
      needed_(std::move(needed)) {
  look_timer_ = io_.timer([this] { look(); });
}

Rescue::~Rescue() { end(Error{Errc::kClosed, "the agent is shutting down", {}}); }

bool Rescue::open(const HopSpec& spec, const std::string& id, Hop::Via via) {
  if (hops_.size() >= kMax || !may_log_in()) return false;
  log::info("{}: a second connection is tried, as the first one does not answer", id);
  dialling_ = std::make_shared<Hop>(io_, budget_, contention_, spec, id, changed_, nullptr, std::move(via));
  dialling_->on_ending(ending_);
  hops_.push_back(dialling_);
  dialling_->start();
  look_timer_->start(kLookGap);
  return true;
}

void Rescue::end(const Error& reason) {
  look_timer_->stop();
  dialling_.reset();
  // First out of sight: those who hear of the end may ask for another connection at once.
  for (const std::shared_ptr<Hop>& hop : std::exchange(hops_, {})) hop->close(reason);
}

void Rescue::close(const Error& reason) {
  std::vector<std::shared_ptr<Hop>> hops = hops_;
  end(reason);
  for (std::shared_ptr<Hop>& hop : hops) io_.dispose(std::move(hop));
}

void Rescue::nudge() {
  const bool stale = dialling_ && dialling_->state() == Hop::State::kConnecting &&
                     io_.now() - dialling_->since() >= kFreshDial;
  if (stale) dialling_->close(Error{Errc::kUnreachable, "the network has changed", {}});
  for (const auto& hop : hops_) hop->suspect();
  update();
  next_try_ = kLongAgo;
}

void Rescue::update() {
  if (dialling_ && dialling_->state() == Hop::State::kReady) {
    if (dialling_->needed_person()) next_login_ = TimePoint::max();  // the login before had not
    dialling_.reset();
    logins_++;
  }
  if (dialling_ && dialling_->state() == Hop::State::kClosed) {
    next_try_ = io_.now() + kLookGap;
    const bool began = dialling_->login_began();
    const Error error = began ? dialling_->error() : before_login(dialling_->error());
    if (dialling_->login_broke() || mends_itself(error)) {
      if (began) next_login_ = io_.now() + kLoginGap;
    } else {
      next_login_ = TimePoint::max();
    }
    if (!may_log_in())
      log::info("{}: the second connection failed, not tried again {}", dialling_->id(),
                next_login_ == TimePoint::max() ? "before the next login" : "for a minute");
    dialling_.reset();
  }
  for (std::size_t i = hops_.size(); i-- > 0;) {
    if (hops_[i]->state() != Hop::State::kClosed) continue;
    io_.dispose(std::move(hops_[i]));
    hops_.erase(hops_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

Hop* Rescue::ready() const {
  const auto serves = [](const std::shared_ptr<Hop>& hop) {
    return hop->state() == Hop::State::kReady && !hop->in_doubt();
  };
  const auto newest = std::find_if(hops_.rbegin(), hops_.rend(), serves);
  return newest == hops_.rend() ? nullptr : newest->get();
}

std::shared_ptr<Hop> Rescue::take() {
  const Hop* best = ready();
  for (const std::shared_ptr<Hop>& hop : hops_) {
    if (!ready() && hop->state() == Hop::State::kReady) best = hop.get();
  }
  const auto place = std::find_if(hops_.begin(), hops_.end(),
                                  [best](const std::shared_ptr<Hop>& hop) { return hop.get() == best; });
  if (place == hops_.end()) return nullptr;
  std::shared_ptr<Hop> taken = std::move(*place);
  hops_.erase(place);
  return taken;
}

// What nobody needs any more.
void Rescue::look() {
  const Error reason{Errc::kClosed, "the first connection answers again", {}};
  const bool needed = needed_();
  const std::vector<std::shared_ptr<Hop>> hops = hops_;
  for (const std::shared_ptr<Hop>& hop : hops) {
    const bool used =
        hop->state() == Hop::State::kReady && hop->mux().open_channels() + hop->mux().opening_channels() > 0;
    if (needed || used) continue;
    if (hop == dialling_) dialling_.reset();  // that it ends is no failure
    hop->close(reason);
  }
  update();
  if (needed || !hops_.empty()) look_timer_->start(kLookGap);
  if (needed) changed_();  // who waits may want another try
}

}  // namespace jump
