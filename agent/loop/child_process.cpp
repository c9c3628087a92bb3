#include "loop/child_process.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <utility>

#include "loop/fd.h"
#include "loop/handle_block.h"
#include "loop/timer.h"
#include "loop/uv_error.h"

namespace jump {
namespace {

// From SIGTERM to SIGKILL: time to remove a temporary file, not to finish work.
constexpr seconds kKillGrace{2};
// After the child's end a grandchild may hold the pipes open. What the child wrote is there already.
constexpr milliseconds kDrainMax{500};

// Descriptors that were inherited, or opened by a library without O_CLOEXEC, must not reach the child.
// Marking ours is the same as closing the child's, and can be done before the fork.
void mark_all_close_on_exec() {
  if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  constexpr int kOldKernelMax = 4096;  // before Linux 5.11
  for (int fd = 3; fd < kOldKernelMax; ++fd) {
    if (int flags = fcntl(fd, F_GETFD); flags >= 0) fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
  }
}

}  // namespace

// Outlives its ChildProcess until the process is reaped (libuv holds a share).
class ChildProcess::Child final : public HandleBlock {
 public:
  Child(Loop& loop, const Command& command, Io::CommandDone done)
      : loop_(loop),
        command_(command),
        done_(std::move(done)),
        timeout_(loop, [this] { timed_out(); }),
        grace_(loop, [this] { send_signal(SIGKILL); }),
        drain_(loop, [this] { finish(output()); }) {}
  ~Child() override {
    for (Output& output : outputs_) close_output(output);
  }

  void start(std::shared_ptr<HandleBlock> self);
  void cancel();
  void on_loop_end() override;

 private:
  struct PipeBlock : OwnedHandle<uv_pipe_t, Child> {};
  struct Output {
    const char* name;
    std::shared_ptr<PipeBlock> pipe;  // nullptr from its end on
    std::string text;
  };

  int spawn(std::array<Fd, 2>& ends);
  Status open_output(Output& output, Fd* child_end);
  void close_output(Output& output);
  void read(Output& output);
  void got(Output& output, std::string_view text);
  void exited(std::int64_t status, int signal);
  void maybe_done();
  void timed_out();
  void terminate();
  void send_signal(int number);
  void finish(Result<CommandOutput> result);
  Result<CommandOutput> output();
  Error spawn_error(int status) const;

  Loop& loop_;
  const Command command_;
  Io::CommandDone done_;  // empty when told, or cancelled
  uv_process_t process_{};
  bool running_ = false;
  int exit_status_ = 0;
  std::array<Output, 2> outputs_{Output{"stdout", nullptr, {}}, Output{"stderr", nullptr, {}}};
  UvTimer timeout_;
  UvTimer grace_;
  UvTimer drain_;
};

void ChildProcess::Child::start(std::shared_ptr<HandleBlock> self) {
  if (command_.argv.empty()) return finish(Error{Errc::kInvalid, "no command to run", {}});
  std::array<Fd, 2> ends;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Status status = open_output(outputs_[i], &ends[i]);
    if (!status) return finish(status.error().context("cannot run " + command_.argv[0]));
  }
  int status = spawn(ends);
  opened(reinterpret_cast<uv_handle_t*>(&process_), std::move(self));
  for (Fd& end : ends) end.reset();
  if (status < 0) {
    close();
    return finish(spawn_error(status));
  }
  running_ = true;
  timeout_.start(command_.timeout);
  for (Output& output : outputs_) read(output);
}

int ChildProcess::Child::spawn(std::array<Fd, 2>& ends) {
  std::vector<char*> argv;
  for (const std::string& argument : command_.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  uv_stdio_container_t stdio[3] = {};
  stdio[0].flags = UV_IGNORE;  // libuv opens /dev/null
  for (int i = 0; i < 2; ++i) {
    stdio[i + 1].flags = UV_INHERIT_FD;
    stdio[i + 1].data.fd = ends[static_cast<std::size_t>(i)].get();
  }
  uv_process_options_t options{};
  options.file = argv[0];
  options.args = argv.data();
  options.flags = UV_PROCESS_DETACHED;
  options.stdio = stdio;
  options.stdio_count = 3;
  options.exit_cb = [](uv_process_t* process, std::int64_t exit_status, int signal) {
    static_cast<Child*>(HandleBlock::of(reinterpret_cast<uv_handle_t*>(process)))
        ->exited(exit_status, signal);
  };
  mark_all_close_on_exec();
  return uv_spawn(loop_.raw(), &process_, &options);
}

// A real pipe: libuv's own choice is a socket, which a script cannot open by /dev/stderr.
Status ChildProcess::Child::open_output(Output& output, Fd* child_end) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return errno_error("pipe");
  Fd our_end(fds[0]);
  child_end->reset(fds[1]);
  output.pipe = std::make_shared<PipeBlock>();
  uv_pipe_init(loop_.raw(), &output.pipe->uv, 0);
  output.pipe->opened(output.pipe);
  int status = uv_pipe_open(&output.pipe->uv, our_end.get());
  if (status < 0) return uv_error(status, "pipe");
  our_end.release();
  output.pipe->owner = this;
  return {};
}

void ChildProcess::Child::close_output(Output& output) {
  if (output.pipe) output.pipe->release();
  output.pipe.reset();
}

void ChildProcess::Child::read(Output& output) {
  uv_read_start(
      reinterpret_cast<uv_stream_t*>(&output.pipe->uv),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        std::span<char> room = static_cast<Loop*>(handle->loop->data)->read_buffer();
        *buffer = uv_buf_init(room.data(), static_cast<unsigned>(room.size()));
      },
      [](uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
        auto* pipe = static_cast<PipeBlock*>(HandleBlock::of(reinterpret_cast<uv_handle_t*>(stream)));
        Child* child = pipe->owner;
        if (!child || count == 0) return;
        Output& from = child->outputs_[child->outputs_[0].pipe.get() == pipe ? 0 : 1];
        if (count > 0) return child->got(from, {buffer->base, static_cast<std::size_t>(count)});
        child->close_output(from);
        child->maybe_done();
      });
}

void ChildProcess::Child::got(Output& output, std::string_view text) {
  if (output.text.size() + text.size() <= command_.output_limit) {
    output.text += text;
    return;
  }
  terminate();
  finish(Error{
      Errc::kLimit,
      fmt::format("{} wrote more than {} bytes to {}", command_.argv[0], command_.output_limit, output.name),
      {}});
}

void ChildProcess::Child::exited(std::int64_t status, int signal) {
  running_ = false;
  exit_status_ = signal > 0 ? 128 + signal : static_cast<int>(status);
  timeout_.stop();
  grace_.stop();
  if (done_) drain_.start(kDrainMax);
  // The share that libuv holds goes with the close; the rest happens while somebody still waits for it.
  close();
  maybe_done();
}

void ChildProcess::Child::maybe_done() {
  if (!running_ && !outputs_[0].pipe && !outputs_[1].pipe) finish(output());
}

void ChildProcess::Child::timed_out() {
  terminate();
  finish(Error{Errc::kTimeout,
               fmt::format("{} did not finish within {:g} s", command_.argv[0], to_seconds(command_.timeout)),
               {}});
}

void ChildProcess::Child::terminate() {
  send_signal(SIGTERM);
  if (running_) grace_.start(kKillGrace);
}

void ChildProcess::Child::send_signal(int number) {
  // The whole group; it exists as long as its leader is not reaped.
  if (running_ && process_.pid > 0) kill(-process_.pid, number);
}

void ChildProcess::Child::cancel() {
  done_ = nullptr;
  timeout_.stop();
  drain_.stop();
  terminate();
  for (Output& output : outputs_) close_output(output);
}

void ChildProcess::Child::on_loop_end() {
  done_ = nullptr;
  send_signal(SIGKILL);
  if (!running_) close();
}

Result<CommandOutput> ChildProcess::Child::output() {
  return CommandOutput{exit_status_, std::move(outputs_[0].text), std::move(outputs_[1].text)};
}

void ChildProcess::Child::finish(Result<CommandOutput> result) {
  timeout_.stop();
  drain_.stop();
  for (Output& output : outputs_) close_output(output);
  Io::CommandDone done = std::move(done_);
  done_ = nullptr;
  if (done) done(std::move(result));  // may have destroyed this object
}

Error ChildProcess::Child::spawn_error(int status) const {
  const std::string& program = command_.argv[0];
  if (status == UV_ENOENT) {
    bool is_path = program.find('/') != std::string::npos;
    return Error{
        Errc::kNotFound, fmt::format("{}: no such program{}", program, is_path ? "" : " in PATH"), {}};
  }
  return uv_error(status, "cannot run " + program);
}

ChildProcess::ChildProcess(Loop& loop, const Command& command, Io::CommandDone done)
    : child_(std::make_shared<Child>(loop, command, std::move(done))), start_(loop.deferred_queue(), [this] {
        std::shared_ptr<Child> child = child_;  // `done` may destroy this object
        child->start(child);
      }) {
  start_.schedule();
}

ChildProcess::~ChildProcess() { child_->cancel(); }

}  // namespace jump
