// The outside world as the tests of auth/ need it: an Io whose loop the test turns by hand, an ssh-agent
// behind it, and a server's side of user authentication.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/agent_protocol.h"
#include "auth/prompter.h"
#include "auth/userauth.h"
#include "base/wire.h"
#include "stream/io.h"

namespace jump::auth_test {

// What is due, in order. Tasks of destroyed owners are dropped, as Io promises.
class Loop {
 public:
  using Alive = std::shared_ptr<void>;
  static Alive alive() { return std::make_shared<int>(0); }

  void post(const Alive& owner, std::function<void()> task) { tasks_.push_back({owner, std::move(task)}); }
  // Runs until nothing is due.
  void run() {
    while (!tasks_.empty()) {
      auto [owner, task] = std::move(tasks_.front());
      tasks_.pop_front();
      if (owner.lock()) task();
    }
  }
  TimePoint now{};
  std::vector<class FakeTimer*> timers;  // that exist

 private:
  std::deque<std::pair<std::weak_ptr<void>, std::function<void()>>> tasks_;
};

class FakeTimer final : public Timer {
 public:
  FakeTimer(Loop& loop, std::function<void()> fire) : loop_(loop), fire_(std::move(fire)) {
    loop_.timers.push_back(this);
  }
  ~FakeTimer() override { std::erase(loop_.timers, this); }
  void start(Duration after) override { due_ = loop_.now + after; }
  void stop() override { due_.reset(); }
  void fire_if_due() {
    if (!due_ || *due_ > loop_.now) return;
    due_.reset();
    loop_.post(alive_, fire_);
  }

 private:
  Loop& loop_;
  std::function<void()> fire_;
  std::optional<TimePoint> due_;
  Loop::Alive alive_ = Loop::alive();
};

class FakeDeferred final : public Deferred {
 public:
  FakeDeferred(Loop& loop, std::function<void()> run) : loop_(loop), run_(std::move(run)) {}
  void schedule() override {
    if (scheduled_) return;
    scheduled_ = true;
    loop_.post(alive_, [this] {
      scheduled_ = false;
      run_();
    });
  }

 private:
  Loop& loop_;
  std::function<void()> run_;
  bool scheduled_ = false;
  Loop::Alive alive_ = Loop::alive();
};

class FakeOperation final : public Operation {
 public:
  Loop::Alive alive = Loop::alive();
};

// The agent's end of one connection: what the client wrote, and ways to answer.
struct AgentConnection {
  Bytes written;
  bool open = true;  // the client still has its end
  std::size_t room = SIZE_MAX;
  std::function<void(Bytes)> send;
  std::function<void()> hang_up;
  std::function<void()> make_room;
};

class FakeStream final : public ByteStream {
 public:
  FakeStream(Loop& loop, std::shared_ptr<AgentConnection> peer) : loop_(loop), peer_(std::move(peer)) {
    peer_->send = [this](Bytes data) {
      loop_.post(alive_, [this, data = std::move(data)] {
        if (handler_ != nullptr) handler_->on_data(data);
      });
    };
    peer_->hang_up = [this] {
      loop_.post(alive_, [this] {
        if (handler_ != nullptr) handler_->on_eof();
      });
      loop_.post(alive_, [this] {
        if (handler_ != nullptr) handler_->on_closed(nullptr);
      });
    };
    peer_->make_room = [this] {
      peer_->room = SIZE_MAX;
      loop_.post(alive_, [this] {
        if (handler_ != nullptr) handler_->on_writable();
      });
    };
  }
  ~FakeStream() override {
    peer_->open = false;
    peer_->send = [](Bytes) {};
    peer_->hang_up = peer_->make_room = [] {};
  }

  void set_handler(StreamHandler* handler) override { handler_ = handler; }
  std::size_t write(ByteView data) override {
    std::size_t count = std::min(data.size(), peer_->room);
    peer_->written.insert(peer_->written.end(), data.begin(),
                          data.begin() + static_cast<std::ptrdiff_t>(count));
    peer_->room -= count;
    return count;
  }
  void resume_reading() override {}
  void shutdown_write() override {}
  void close() override {}
  void abort() override {}
  std::string describe() const override { return "fake agent"; }

 private:
  Loop& loop_;
  std::shared_ptr<AgentConnection> peer_;
  StreamHandler* handler_ = nullptr;
  Loop::Alive alive_ = Loop::alive();
};

class FakeIo final : public Io {
 public:
  TimePoint now() const override { return loop_.now; }
  std::unique_ptr<Timer> timer(std::function<void()> fire) override {
    return std::make_unique<FakeTimer>(loop_, std::move(fire));
  }
  std::unique_ptr<Deferred> deferred(std::function<void()> run) override {
    return std::make_unique<FakeDeferred>(loop_, std::move(run));
  }
  std::unique_ptr<Operation> dial(const DialOptions& options, DialResult done) override {
    auto operation = std::make_unique<FakeOperation>();
    dialed.push_back(options.target.path);
    auto shared = std::make_shared<DialResult>(std::move(done));
    loop_.post(operation->alive, [this, shared] {
      if (dial_error) return (*shared)(*dial_error);
      auto connection = std::make_shared<AgentConnection>();
      connection->room = first_room;
      connections.push_back(connection);
      auto stream = std::make_unique<FakeStream>(loop_, connection);
      if (hangs_up_at_once) connection->hang_up();
      (*shared)(std::unique_ptr<ByteStream>(std::move(stream)));
    });
    return operation;
  }
  Result<std::unique_ptr<Listener>> listen(const ListenOptions&, Accepted) override {
    return Error{Errc::kUnsupported, "not here", ""};
  }
  std::unique_ptr<Operation> run(const Command&, CommandDone) override {
    return std::make_unique<FakeOperation>();
  }
  // The pool is done when the loop gets there, or, while it is held, when the test says.
  std::unique_ptr<Operation> in_pool(std::function<void()> work, std::function<void()> done) override {
    auto operation = std::make_unique<FakeOperation>();
    pool_.push_back({std::move(work), std::move(done), operation->alive});
    ++pool_jobs;
    if (!hold_pool) release_pool();
    return operation;
  }
  void dispose(std::shared_ptr<void> object) override {
    loop_.post(keep_, [object = std::move(object)]() mutable { object.reset(); });
  }

  void release_pool() {
    for (auto& job : pool_) {
      job.work();
      loop_.post(job.owner.lock(), job.done);
    }
    pool_.clear();
  }
  void turn() { loop_.run(); }
  void pass(Duration time) {
    loop_.now += time;
    for (FakeTimer* timer : loop_.timers) timer->fire_if_due();
    turn();
  }

  std::vector<std::string> dialed;
  std::optional<Error> dial_error;
  bool hangs_up_at_once = false;
  std::size_t first_room = SIZE_MAX;  // what a new connection accepts before it is full
  std::vector<std::shared_ptr<AgentConnection>> connections;
  bool hold_pool = false;
  int pool_jobs = 0;

 private:
  struct Job {
    std::function<void()> work, done;
    std::weak_ptr<void> owner;
  };
  Loop loop_;
  std::vector<Job> pool_;
  Loop::Alive keep_ = Loop::alive();
};

// Somebody who is asked: the test answers.
class FakePrompter final : public Prompter {
 public:
  explicit FakePrompter(FakeIo& io) : soon_(io.deferred([this] { deliver(); })) {}

  std::unique_ptr<Operation> ask(Question question, Answered done) override {
    auto operation = std::make_unique<FakeOperation>();
    if (question.kind == Question::Kind::kNotice) {
      notices.push_back(question.text);
      notice_ = operation->alive;
      return operation;
    }
    EXPECT_FALSE(is_asked()) << "asked twice at once";
    questions.push_back(std::move(question));
    alive_ = operation->alive;
    done_ = std::move(done);
    return operation;
  }
  void show(Question notice) override { shown.push_back(notice.hop + "|" + notice.text); }

  bool is_asked() const { return done_ && !alive_.expired(); }
  bool is_noticed() const { return !notice_.expired(); }
  const Question& last() const { return questions.back(); }
  void reply(const std::vector<std::string>& answers) {
    std::vector<Secret> secrets;
    for (const std::string& answer : answers) secrets.emplace_back(std::string_view(answer));
    finish(std::move(secrets));
  }
  void reply(Errc code) {
    finish(Error{code, code == Errc::kCancelled ? "declined" : "nobody answered", ""});
  }

  std::vector<Question> questions;
  std::vector<std::string> notices, shown;

 private:
  void finish(Result<std::vector<Secret>> answers) {
    ASSERT_TRUE(is_asked());
    answers_ = std::move(answers);
    soon_->schedule();
  }
  void deliver() {
    if (!answers_ || alive_.expired()) return;
    auto done = std::exchange(done_, nullptr);
    done(*std::exchange(answers_, std::nullopt));
  }

  std::unique_ptr<Deferred> soon_;
  std::weak_ptr<void> alive_, notice_;
  Answered done_;
  std::optional<Result<std::vector<Secret>>> answers_;
};

inline Bytes agent_frame(const WireWriter& message) { return WireWriter().string(message.view()).take(); }

inline Bytes identities_frame(const std::vector<Bytes>& blobs) {
  WireWriter message;
  message.u8(12).u32(static_cast<std::uint32_t>(blobs.size()));
  for (const Bytes& blob : blobs) message.string(blob).string("comment");
  return agent_frame(message);
}

inline Bytes signature_frame(std::string_view algorithm, std::string_view signature) {
  WireWriter message;
  message.u8(14).string(WireWriter().string(algorithm).string(signature).take());
  return agent_frame(message);
}

inline Bytes failure_frame() { return agent_frame(WireWriter().u8(5)); }

}  // namespace jump::auth_test
