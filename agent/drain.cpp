#include "drain.h"

#include <algorithm>
#include <utility>

namespace jump {

Drain::Drain(Io& io, std::function<Load()> load, Idle idle, Duration limit, std::function<void()> done)
    : io_(io),
      load_(std::move(load)),
      idle_(idle),
      deadline_(io.now() + limit),
      done_(std::move(done)),
      moved_(load_().moved),
      moved_at_(io.now()),
      timer_(io.timer([this] { look(); })) {
  timer_->start(Duration::zero());
}

Duration Drain::left() const { return std::max(Duration::zero(), deadline_ - io_.now()); }

void Drain::look() {
  if (over(load_())) return done_();
  timer_->start(std::min(gap(), left()));
}

bool Drain::over(const Load& load) {
  const TimePoint now = io_.now();
  if (load.connections == 0 || now >= deadline_) return true;
  if (std::exchange(moved_, load.moved) != load.moved) moved_at_ = now;
  if (idle_ == Idle::kStays) return false;
  return now - moved_at_ >= (load.pending > 0 ? kStalled : kQuiet);
}

}  // namespace jump
