// Many commands at once: how many run, and who is next.
#include "route/command_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace jump {
namespace {

// An Io whose commands end when the test says so.
class ManualIo final : public Io {
 public:
  struct Child final : Operation {
    explicit Child(ManualIo& of) : io(of) {}
    ~Child() override { std::erase(io.children, this); }
    ManualIo& io;
    std::string program;
    CommandDone done;
  };
  struct Soon final : Deferred {
    explicit Soon(std::function<void()> work) : run(std::move(work)) {}
    void schedule() override { scheduled = true; }
    std::function<void()> run;
    bool scheduled = false;
  };

  TimePoint now() const override { return {}; }
  std::unique_ptr<Timer> timer(std::function<void()>) override { return nullptr; }
  std::unique_ptr<Deferred> deferred(std::function<void()> run) override {
    auto made = std::make_unique<Soon>(std::move(run));
    soon = made.get();
    return made;
  }
  std::unique_ptr<Operation> dial(const DialOptions&, DialResult) override { return nullptr; }
  Result<std::unique_ptr<Listener>> listen(const ListenOptions&, Accepted) override {
    return Error{Errc::kUnsupported, "not here", {}};
  }
  std::unique_ptr<Operation> run(const Command& command, CommandDone done) override {
    auto child = std::make_unique<Child>(*this);
    child->program = command.argv.front();
    child->done = std::move(done);
    children.push_back(child.get());
    started.push_back(child->program);
    return child;
  }
  std::unique_ptr<Operation> in_pool(std::function<void()>, std::function<void()>) override {
    return nullptr;
  }
  void dispose(std::shared_ptr<void>) override {}

  void end(std::size_t index) {
    Child* child = children.at(index);
    children.erase(children.begin() + static_cast<std::ptrdiff_t>(index));
    child->done(CommandOutput{});
    settle();
  }
  void settle() {
    while (std::exchange(soon->scheduled, false)) soon->run();
  }

  std::vector<Child*> children;
  std::vector<std::string> started;
  Soon* soon = nullptr;
};

class CommandQueueTest : public testing::Test {
 protected:
  std::unique_ptr<Operation> run(const std::string& program) {
    Command command;
    command.argv = {program};
    return queue.run(command, [this, program](const Result<CommandOutput>&) { ended.push_back(program); });
  }
  std::vector<std::unique_ptr<Operation>> run_many(std::size_t count) {
    std::vector<std::unique_ptr<Operation>> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(run(std::to_string(i)));
    return all;
  }

  static constexpr std::size_t kMost = CommandQueue::kMaxRunning;
  ManualIo io;
  CommandQueue queue{io};
  std::vector<std::string> ended;
};

TEST_F(CommandQueueTest, OnlySoManyRunAtOnceAndAllGetTheirTurnInOrder) {
  auto all = run_many(5 * kMost);
  for (std::size_t i = 0; i < 5 * kMost; ++i) {
    EXPECT_LE(io.children.size(), kMost);
    EXPECT_EQ(queue.running() + queue.waiting(), 5 * kMost - i);
    io.end(0);
  }
  EXPECT_EQ(io.started, ended);
  EXPECT_EQ(ended.size(), 5 * kMost);
  EXPECT_EQ(queue.running(), 0U);
}

TEST_F(CommandQueueTest, WhoGivesUpWhileWaitingIsNeverStarted) {
  auto all = run_many(kMost + 2);
  all[kMost].reset();
  io.end(0);
  EXPECT_EQ(io.started.back(), std::to_string(kMost + 1));
}

TEST_F(CommandQueueTest, WhoGivesUpWhileRunningMakesRoom) {
  auto all = run_many(kMost + 1);
  EXPECT_EQ(queue.waiting(), 1U);
  all[3].reset();
  io.settle();
  EXPECT_EQ(io.children.size(), kMost);
  EXPECT_EQ(io.started.back(), std::to_string(kMost));
  EXPECT_TRUE(ended.empty());
}

}  // namespace
}  // namespace jump
