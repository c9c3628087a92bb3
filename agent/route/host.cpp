#include "route/host.h"

#include <utility>

#include "base/log.h"

namespace jump {

// One acquire() that has not been answered.
class Host::Waiter final : public Operation {
 public:
  Waiter(Host& host, Duration timeout, Acquired done) : host_(&host), done_(std::move(done)) {
    place_ = host.waiters_.insert(host.waiters_.end(), this);
    timer_ = host.io_.timer([this] {
      std::string message = host_->name_ + " was not connected in time";
      if (host_->last_error_) message += " (" + host_->last_error_->message + ")";
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

  std::optional<Error> refusal;  // set when the answer is known already

 private:
  Host* host_;  // null once answered
  std::list<Waiter*>::iterator place_;
  Acquired done_;
  std::unique_ptr<Timer> timer_;
};

Host::Host(Io& io, WindowBudget& budget, SshConfig& config, std::string name)
    : io_(io), budget_(budget), config_(config), name_(std::move(name)), since_(io.now()) {
  answer_soon_ = io_.deferred([this] {
    if (state_ == State::kReady) return answer_all(nullptr);
    for (auto next = waiters_.begin(); next != waiters_.end();) {
      Waiter* waiter = *next++;
      if (waiter->refusal) {
        waiter->answer(*waiter->refusal);
        next = waiters_.begin();  // whoever was answered may have withdrawn others
      }
    }
  });
}

Host::~Host() {
  if (hop_) hop_->close(Error{Errc::kClosed, "the agent is shutting down", {}});
  answer_all(nullptr);
}

std::unique_ptr<Operation> Host::acquire(Asker asker, Duration timeout, Acquired done) {
  auto waiter = std::make_unique<Waiter>(*this, timeout, std::move(done));
  if (state_ == State::kReady) {
    answer_soon_->schedule();
  } else if (state_ == State::kIdle || state_ == State::kDown) {
    if (worth_dialing(asker)) {
      begin();
    } else {
      waiter->refusal = last_error_;
      answer_soon_->schedule();
    }
  }
  return waiter;
}

bool Host::worth_dialing(Asker asker) const {
  if (asker == Asker::kUser || !last_error_) return true;
  if (last_error_->code == Errc::kAuth || last_error_->code == Errc::kHostKey) return false;
  return io_.now() - error_time_ >= kRetryGap;
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
  set_state(State::kDown);
  Error copy = *last_error_;
  answer_all(&copy);
}

// Answers everybody who waits now; null: with the ready connection. Those who ask again meanwhile are not answered
// here, so that a request repeated on refusal cannot spin.
void Host::answer_all(const Error* error) {
  Error closed{Errc::kClosed, "the connection to " + name_ + " has ended", {}};
  for (std::size_t left = waiters_.size(); left > 0 && !waiters_.empty(); --left) {
    if (error) {
      waiters_.front()->answer(*error);
    } else if (state_ == State::kReady && hop_ && hop_->state() == Hop::State::kReady) {
      waiters_.front()->answer(&hop_->mux());
    } else {
      waiters_.front()->answer(closed);
    }
  }
}

void Host::set_state(State next) {
  if (next == state_) return;
  state_ = next;
  since_ = io_.now();
}

}  // namespace jump
