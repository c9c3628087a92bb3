#include "loop/child_process.h"

#include <fmt/core.h>

#include <array>
#include <utility>

#include "base/fd.h"
#include "loop/spawned_process.h"
#include "loop/timer.h"

namespace jump {
namespace {

// After the child's end a grandchild may hold the pipes open. What the child wrote is there already.
constexpr milliseconds kDrainMax{500};

}  // namespace

// Shared, so that `done` may destroy the ChildProcess while this is on the stack.
class ChildProcess::Child final : public std::enable_shared_from_this<Child> {
 public:
  Child(Loop& loop, const Command& command, Io::CommandDone done)
      : loop_(loop),
        command_(command),
        done_(std::move(done)),
        timeout_(loop, [this] { timed_out(); }),
        drain_(loop, [this] { finish(output()); }) {}
  ~Child() { cancel(); }

  void start();
  void cancel();

 private:
  struct Output {
    const char* name;
    std::shared_ptr<OutputPipe> pipe;  // nullptr from its end on
    std::string text;
  };

  void read(Output& output);
  void got(Output& output, std::string_view text);
  void exited(int status);
  void maybe_done();
  void timed_out();
  void finish(Result<CommandOutput> result);
  Result<CommandOutput> output();

  Loop& loop_;
  const Command command_;
  Io::CommandDone done_;  // empty when told, or cancelled
  std::shared_ptr<SpawnedProcess> process_;
  int exit_status_ = 0;
  std::array<Output, 2> outputs_{Output{"stdout", nullptr, {}}, Output{"stderr", nullptr, {}}};
  UvTimer timeout_;
  UvTimer drain_;
};

void ChildProcess::Child::start() {
  if (command_.argv.empty()) return finish(Error{Errc::kInvalid, "no command to run", {}});
  std::array<Fd, 2> ends;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Result<std::shared_ptr<OutputPipe>> pipe = OutputPipe::make(loop_, &ends[i]);
    if (!pipe) return finish(pipe.error().context("cannot run " + command_.argv[0]));
    outputs_[i].pipe = *std::move(pipe);
  }
  auto process = SpawnedProcess::start(loop_, command_.argv, {-1, ends[0].get(), ends[1].get()},
                                       [this](int status) { exited(status); });
  if (!process) return finish(process.error());
  process_ = *std::move(process);
  timeout_.start(command_.timeout);
  for (Output& output : outputs_) read(output);
}

void ChildProcess::Child::read(Output& output) {
  output.pipe->read([this, &output](std::string_view text) { got(output, text); },
                    [this, &output] {
                      std::shared_ptr<Child> self = shared_from_this();
                      output.pipe.reset();
                      maybe_done();
                    });
}

void ChildProcess::Child::got(Output& output, std::string_view text) {
  if (output.text.size() + text.size() <= command_.output_limit) {
    output.text += text;
    return;
  }
  finish(Error{
      Errc::kLimit,
      fmt::format("{} wrote more than {} bytes to {}", command_.argv[0], command_.output_limit, output.name),
      {}});
}

void ChildProcess::Child::exited(int status) {
  std::shared_ptr<Child> self = shared_from_this();
  exit_status_ = status;
  timeout_.stop();
  if (done_) drain_.start(kDrainMax);
  maybe_done();
}

void ChildProcess::Child::maybe_done() {
  if (process_ && !process_->running() && !outputs_[0].pipe && !outputs_[1].pipe) finish(output());
}

void ChildProcess::Child::timed_out() {
  finish(Error{Errc::kTimeout,
               fmt::format("{} did not finish within {:g} s", command_.argv[0], to_seconds(command_.timeout)),
               {}});
}

void ChildProcess::Child::cancel() {
  done_ = nullptr;
  timeout_.stop();
  drain_.stop();
  if (process_) process_->release(Duration::zero());
  for (Output& output : outputs_) {
    if (output.pipe) std::exchange(output.pipe, nullptr)->release();
  }
}

Result<CommandOutput> ChildProcess::Child::output() {
  return CommandOutput{exit_status_, std::move(outputs_[0].text), std::move(outputs_[1].text)};
}

void ChildProcess::Child::finish(Result<CommandOutput> result) {
  std::shared_ptr<Child> self = shared_from_this();
  Io::CommandDone done = std::move(done_);
  cancel();
  if (done) done(std::move(result));  // may have destroyed the ChildProcess
}

ChildProcess::ChildProcess(Loop& loop, const Command& command, Io::CommandDone done)
    : child_(std::make_shared<Child>(loop, command, std::move(done))), start_(loop.deferred_queue(), [this] {
        std::shared_ptr<Child> child = child_;  // `done` may destroy this object
        child->start();
      }) {
  start_.schedule();
}

ChildProcess::~ChildProcess() { child_->cancel(); }

}  // namespace jump
