#include "route/host.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace jump {

// One acquire() that has not been answered.
class Host::Waiter final : public Operation {
 public:
  Waiter(Host& host, Asker asker, Duration timeout, Acquired done)
      : host_(&host), asker_(asker), since_(host.io_.now()), done_(std::move(done)) {
    place_ = host.waiters_.insert(host.waiters_.end(), this);
    timer_ = host.io_.timer([this] {
      std::string message = host_->name_ + " was not connected in time";
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

 private:
  Host* host_;  // null once answered
  const Asker asker_;
  const TimePoint since_;
  std::list<Waiter*>::iterator place_;
  Acquired done_;
  std::unique_ptr<Timer> timer_;
};

Host::Host(Io& io, WindowBudget& budget, SshConfig& config, std::string name)
    : io_(io), budget_(budget), config_(config), name_(std::move(name)), since_(io.now()) {
  answer_soon_ = io_.deferred([this] { answer_pending(); });
  retry_timer_ = io_.timer([this] { retry(); });
}

Host::~Host() {
  if (hop_) hop_->close(Error{Errc::kClosed, "the agent is shutting down", {}});
  answer_all(nullptr);
}

std::unique_ptr<Operation> Host::acquire(Asker asker, Duration timeout, Acquired done) {
  if (hop_ && hop_->state() == Hop::State::kClosed)
    on_hop_changed();  // it has ended, and says so a moment later
  auto waiter = std::make_unique<Waiter>(*this, asker, timeout, std::move(done));
  bool away = state_ == State::kIdle || state_ == State::kDown;
  if (state_ == State::kReady || (away && asker == Asker::kConnection && needs_person())) {
    answer_soon_->schedule();
  } else if (away && (asker == Asker::kUser || !last_error_ || io_.now() >= next_dial_)) {
    begin();
  } else if (away) {
    retry_timer_->start(next_dial_ - io_.now());
  }
  return waiter;
}

// The last failure is not of the kind that time mends.
bool Host::needs_person() const {
  if (!last_error_) return false;
  switch (last_error_->code) {
    case Errc::kUnreachable:
    case Errc::kTimeout:
    case Errc::kClosed:
      return false;
    default:
      return true;
  }
}

// Answers those whose answer is known already.
void Host::answer_pending() {
  if (hop_ && hop_->state() == Hop::State::kClosed) on_hop_changed();
  if (state_ == State::kReady) return answer_all(nullptr);
  if (state_ == State::kDown && needs_person()) {
    Error error = *last_error_;
    answer_all(&error);
  }
}

void Host::retry() {
  bool away = state_ == State::kIdle || state_ == State::kDown;
  if (away && !waiters_.empty() && !needs_person()) begin();
}

void Host::begin() {
  set_state(State::kResolving);
  resolving_ = config_.resolve(name_, [this](Result<HopSpec> result) { on_resolved(std::move(result)); });
}

void Host::on_resolved(Result<HopSpec> result) {
  if (!result) return go_down(result.error());
  spec_ = *std::move(result);
  set_state(State::kConnecting);
  std::string id = name_ + "#" + std::to_string(++attempts_);
  hop_ = std::make_shared<Hop>(io_, budget_, *spec_, std::move(id), [this] { on_hop_changed(); });
  hop_->start();
}

void Host::on_hop_changed() {
  if (!hop_) return;
  if (hop_->state() == Hop::State::kClosed) {
    Error error = hop_->error();
    io_.dispose(std::move(hop_));
    hop_.reset();
    return go_down(std::move(error));
  }
  if (hop_->state() == Hop::State::kReady && state_ != State::kReady) {
    logins_++;
    last_error_.reset();
    set_state(State::kReady);
    answer_all(nullptr);
  }
}

void Host::disconnect(const Error& reason) {
  resolving_.reset();
  if (hop_) {
    hop_->close(reason);
    io_.dispose(std::move(hop_));
    hop_.reset();
  }
  if (state_ == State::kIdle || state_ == State::kDown) return;
  set_state(State::kIdle);
  answer_all(&reason);
}

void Host::go_down(Error error) {
  last_error_ = std::move(error);
  error_time_ = io_.now();
  next_dial_ = state_ == State::kReady ? error_time_ : error_time_ + kRetryGap;
  set_state(State::kDown);
  Error copy = *last_error_;
  answer_all(&copy);
  if (!waiters_.empty()) retry_timer_->start(next_dial_ - io_.now());
}

// Answers those who wait now; null: with the ready connection. After a failure that may mend itself,
// connections wait on. Those who ask again meanwhile are not answered here, so that a request repeated on
// refusal cannot spin.
void Host::answer_all(const Error* error) {
  bool patient = error && state_ == State::kDown && !needs_person();
  auto due = [patient](const Waiter* waiter) { return !patient || waiter->asker() == Asker::kUser; };
  Error ended{Errc::kClosed, "the connection to " + name_ + " has ended", {}};
  // Whoever is answered may withdraw others, so each is looked for anew.
  for (auto left = std::count_if(waiters_.begin(), waiters_.end(), due); left > 0; --left) {
    auto next = std::find_if(waiters_.begin(), waiters_.end(), due);
    if (next == waiters_.end()) return;
    if (error) {
      (*next)->answer(*error);
    } else if (Mux* ready = mux(); ready && hop_->state() == Hop::State::kReady) {
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
}

}  // namespace jump
