#include "route/command_queue.h"

#include <utility>

namespace jump {

// One command, from being asked for to its end.
class CommandQueue::Place final : public Operation {
 public:
  Place(CommandQueue& queue, Command command, Io::CommandDone done)
      : queue_(queue), command_(std::move(command)), done_(std::move(done)) {
    place_ = queue_.waiting_.insert(queue_.waiting_.end(), this);
  }
  ~Place() override {
    if (state_ == State::kWaiting) queue_.waiting_.erase(place_);
    if (state_ != State::kRunning) return;
    running_.reset();
    queue_.ended();
  }

  // It is no longer among those that wait.
  void start() {
    state_ = State::kRunning;
    running_ = queue_.io_.run(command_, [this](Result<CommandOutput> output) {
      state_ = State::kEnded;
      queue_.ended();
      Io::CommandDone done = std::move(done_);
      done(std::move(output));  // may destroy this object
    });
  }

 private:
  enum class State { kWaiting, kRunning, kEnded };

  CommandQueue& queue_;
  const Command command_;
  Io::CommandDone done_;
  State state_ = State::kWaiting;
  std::list<Place*>::iterator place_;
  std::unique_ptr<Operation> running_;
};

CommandQueue::CommandQueue(Io& io) : io_(io), start_soon_(io.deferred([this] { start_next(); })) {}

std::unique_ptr<Operation> CommandQueue::run(Command command, Io::CommandDone done) {
  auto place = std::make_unique<Place>(*this, std::move(command), std::move(done));
  start_next();
  return place;
}

void CommandQueue::start_next() {
  while (running_ < kMaxRunning && !waiting_.empty()) {
    Place* next = waiting_.front();
    waiting_.pop_front();
    ++running_;
    next->start();
  }
}

void CommandQueue::ended() {
  --running_;
  start_soon_->schedule();
}

}  // namespace jump
