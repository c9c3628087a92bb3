#include "support/sim_io.h"

#include <algorithm>
#include <optional>

namespace jump::test {

class SimTimer final : public Timer {
 public:
  SimTimer(SimIo& io, std::function<void()> fire) : io_(io), fire_(std::move(fire)) {}
  ~SimTimer() override { stop(); }
  void start(Duration after) override {
    stop();
    place_ = io_.timers_.emplace(io_.now_ + std::max(after, Duration::zero()), this);
  }
  void stop() override {
    if (place_) io_.timers_.erase(*place_);
    place_.reset();
  }
  void fire() {
    stop();
    auto fire = fire_;  // it may destroy this
    fire();
  }

 private:
  SimIo& io_;
  std::function<void()> fire_;
  std::optional<std::multimap<TimePoint, SimTimer*>::iterator> place_;
};

namespace {

// Work that can be taken back: what is posted holds a weak hold of this.
struct Cancellable final : Operation {
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  ~Cancellable() override { *alive = false; }
};

class SimDeferred final : public Deferred {
 public:
  SimDeferred(SimIo& io, std::function<void()> run) : io_(io), run_(std::move(run)) {}
  ~SimDeferred() override { *alive_ = false; }
  void schedule() override {
    if (scheduled_) return;
    scheduled_ = true;
    io_.post([this, alive = alive_] {
      if (!*alive) return;
      scheduled_ = false;
      auto run = run_;
      run();
    });
  }

 private:
  SimIo& io_;
  std::function<void()> run_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool scheduled_ = false;
};

}  // namespace

// One end. Bytes written go to the peer's inbox; the peer's handler hears of them from an event.
class SimStream final : public ByteStream {
 public:
  explicit SimStream(SimIo& io) : io_(io) {}
  ~SimStream() override {
    *alive_ = false;
    if (peer_) {
      if (!ended_) peer_->break_down("the peer went away");
      peer_->peer_ = nullptr;
    }
  }

  void set_handler(StreamHandler* handler) override {
    handler_ = handler;
    paused_ = false;
    if (handler_) look_soon();
  }
  std::size_t write(ByteView data) override {
    if (!peer_ || shut_ || ended_ || broken_) return 0;
    std::size_t room = io_.pipe_size_ - std::min(io_.pipe_size_, peer_->inbox_.size());
    std::size_t count = std::min(room, data.size());
    if (count < data.size()) wants_room_ = true;
    peer_->inbox_.append(data.first(count));
    peer_->look_soon();
    return count;
  }
  std::optional<Delivery> delivery() const override {
    return io_.delivery_ ? std::optional(io_.delivery_()) : std::nullopt;
  }
  void resume_reading() override {
    if (!paused_) return;
    paused_ = false;
    look_soon();
  }
  void shutdown_write() override {
    if (shut_ || ended_) return;
    shut_ = true;
    if (peer_) {
      peer_->eof_ = true;
      peer_->look_soon();
    }
    look_soon();
  }
  void close() override {
    shutdown_write();
    discard_ = true;
    look_soon();
  }
  void abort() override {
    if (ended_) return;
    if (peer_) peer_->break_down("reset by peer");
    break_down("aborted");
  }
  std::string describe() const override { return "sim"; }

  void link(SimStream* peer) { peer_ = peer; }

 private:
  void break_down(const char* why) {
    if (ended_ || broken_) return;
    broken_ = Error{Errc::kClosed, why, {}};
    look_soon();
  }
  void look_soon() {
    if (looking_) return;
    looking_ = true;
    io_.post([this, alive = alive_] {
      if (!*alive) return;
      looking_ = false;
      look();
    });
  }
  void look() {
    if (ended_) return;
    if (broken_) return end(&*broken_);
    auto alive = alive_;
    if (discard_) inbox_.clear();
    while (handler_ && !paused_ && !inbox_.empty()) {
      ByteView run = inbox_.front();
      std::size_t count = handler_->on_data(run);
      if (!*alive || ended_ || broken_) return;
      inbox_.consume(std::min(count, inbox_.size()));
      if (count < run.size()) paused_ = true;
      if (peer_) peer_->tell_room();
    }
    if (handler_ && eof_ && inbox_.empty() && !eof_told_) {
      eof_told_ = true;
      if (!discard_) handler_->on_eof();
      if (!*alive || ended_) return;
    }
    if (shut_ && (eof_told_ || discard_)) end(nullptr);
  }
  void tell_room() {
    if (!wants_room_ || !peer_ || peer_->inbox_.size() > io_.pipe_size_ / 2) return;
    wants_room_ = false;
    io_.post([this, alive = alive_] {
      if (*alive && handler_ && !ended_) handler_->on_writable();
    });
  }
  void end(const Error* error) {
    ended_ = true;
    if (handler_) handler_->on_closed(error);
  }

  SimIo& io_;
  SimStream* peer_ = nullptr;
  StreamHandler* handler_ = nullptr;
  ByteQueue inbox_;
  bool paused_ = false, wants_room_ = false, shut_ = false, eof_ = false, eof_told_ = false, discard_ = false;
  bool ended_ = false, looking_ = false;
  std::optional<Error> broken_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class SimListener final : public Listener {
 public:
  SimListener(SimIo& io, Endpoint at, Io::Accepted accepted)
      : io_(io), at_(std::move(at)), accepted_(std::move(accepted)) {
    io_.listeners_[at_.to_string()] = this;
  }
  ~SimListener() override { io_.listeners_.erase(at_.to_string()); }
  Endpoint local() const override { return at_; }
  void accept(std::unique_ptr<ByteStream> stream) {
    auto held = std::make_shared<std::unique_ptr<ByteStream>>(std::move(stream));
    io_.post([&io = io_, key = at_.to_string(), held] {
      auto found = io.listeners_.find(key);
      if (found != io.listeners_.end()) found->second->accepted_(std::move(*held));
    });
  }

 private:
  SimIo& io_;
  Endpoint at_;
  Io::Accepted accepted_;
};

SimIo::SimIo() : now_(TimePoint() + std::chrono::hours(1)) {}
SimIo::~SimIo() = default;

std::unique_ptr<Timer> SimIo::timer(std::function<void()> fire) {
  return std::make_unique<SimTimer>(*this, std::move(fire));
}

std::unique_ptr<Deferred> SimIo::deferred(std::function<void()> run) {
  return std::make_unique<SimDeferred>(*this, std::move(run));
}

std::unique_ptr<Operation> SimIo::dial(const DialOptions& options, DialResult done) {
  auto operation = std::make_unique<Cancellable>();
  post([this, to = options.target.to_string(), done = std::move(done), alive = operation->alive] {
    if (!*alive) return;
    auto found = services_.find(to);
    if (found == services_.end()) {
      return done(Error{Errc::kUnreachable, "cannot connect to " + to + ": Connection refused", {}});
    }
    auto [near, far] = pipe();
    found->second(std::move(far));
    done(std::move(near));
  });
  return operation;
}

Result<std::unique_ptr<Listener>> SimIo::listen(const ListenOptions& options, Accepted accepted) {
  if (listeners_.count(options.at.to_string())) {
    return Error{Errc::kInUse, options.at.to_string() + " is in use", {}};
  }
  return std::unique_ptr<Listener>(std::make_unique<SimListener>(*this, options.at, std::move(accepted)));
}

std::unique_ptr<Operation> SimIo::run(const Command& command, CommandDone done) {
  auto operation = std::make_unique<Cancellable>();
  post([this, command, done = std::move(done), alive = operation->alive] {
    if (!*alive) return;
    auto found = commands_.find(command.argv.front());
    if (found == commands_.end())
      return done(Error{Errc::kNotFound, "no program " + command.argv.front(), {}});
    done(found->second(command));
  });
  return operation;
}

std::unique_ptr<Operation> SimIo::in_pool(std::function<void()> work, std::function<void()> done) {
  auto operation = std::make_unique<Cancellable>();
  post([work = std::move(work), done = std::move(done), alive = operation->alive] {
    work();
    if (*alive) done();
  });
  return operation;
}

void SimIo::dispose(std::shared_ptr<void> object) { disposed_.push_back(std::move(object)); }

void SimIo::settle() {
  while (!events_.empty() || !disposed_.empty()) {
    if (events_.empty()) {
      disposed_.pop_front();
      continue;
    }
    auto event = std::move(events_.front());
    events_.pop_front();
    event();
  }
}

void SimIo::advance(Duration by) {
  settle();
  TimePoint until = now_ + by;
  while (!timers_.empty() && timers_.begin()->first <= until) {
    now_ = std::max(now_, timers_.begin()->first);
    timers_.begin()->second->fire();
    settle();
  }
  now_ = until;
}

std::pair<std::unique_ptr<ByteStream>, std::unique_ptr<ByteStream>> SimIo::pipe() {
  auto one = std::make_unique<SimStream>(*this);
  auto two = std::make_unique<SimStream>(*this);
  one->link(two.get());
  two->link(one.get());
  return {std::move(one), std::move(two)};
}

std::unique_ptr<ByteStream> SimIo::connect(const std::string& endpoint) {
  auto found = listeners_.find(endpoint);
  if (found == listeners_.end()) return nullptr;
  auto [near, far] = pipe();
  found->second->accept(std::move(far));
  return std::move(near);
}

void SimIo::on_dial(const std::string& endpoint, std::function<void(std::unique_ptr<ByteStream>)> accept) {
  services_[endpoint] = std::move(accept);
}

void SimIo::on_command(const std::string& program,
                       std::function<Result<CommandOutput>(const Command&)> answer) {
  commands_[program] = std::move(answer);
}

void SimIo::post(std::function<void()> event) { events_.push_back(std::move(event)); }

std::size_t Collector::on_data(ByteView data) {
  std::size_t count = std::min(appetite_, data.size());
  received += as_text(data.first(count));
  if (appetite_ != SIZE_MAX) appetite_ -= count;
  return count;
}

void Collector::set_appetite(std::size_t bytes) {
  appetite_ = bytes;
  if (bytes > 0) stream_.resume_reading();
}

}  // namespace jump::test
