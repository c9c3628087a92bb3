#include "loop/spawned_process.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <utility>

#include "loop/uv_error.h"

namespace jump {
namespace {

// Descriptors that were inherited, or opened by a library without O_CLOEXEC, must not reach the child.
// Marking ours is the same as closing the child's, and can be done before the fork.
void mark_all_close_on_exec() {
  if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  constexpr int kOldKernelMax = 4096;  // before Linux 5.11
  for (int fd = 3; fd < kOldKernelMax; ++fd) {
    if (int flags = fcntl(fd, F_GETFD); flags >= 0) fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
  }
}

Error spawn_error(int status, const std::string& program) {
  if (status == UV_ENOENT) {
    bool is_path = program.find('/') != std::string::npos;
    return Error{
        Errc::kNotFound, fmt::format("{}: no such program{}", program, is_path ? "" : " in PATH"), {}};
  }
  return uv_error(status, "cannot run " + program);
}

}  // namespace

// --- the process
// -------------------------------------------------------------------------------------------------

Result<std::shared_ptr<SpawnedProcess>> SpawnedProcess::start(Loop& loop,
                                                              const std::vector<std::string>& argv,
                                                              const std::array<int, 3>& stdio,
                                                              Exited exited) {
  if (argv.empty()) return Error{Errc::kInvalid, "no command to run", {}};
  std::shared_ptr<SpawnedProcess> self(new SpawnedProcess(loop, std::move(exited)));
  int status = self->spawn(loop, argv, stdio);
  self->opened(reinterpret_cast<uv_handle_t*>(&self->process_), self);
  if (status < 0) {
    self->close();
    return spawn_error(status, argv[0]);
  }
  self->running_ = true;
  return self;
}

SpawnedProcess::SpawnedProcess(Loop& loop, Exited exited)
    : exited_(std::move(exited)),
      look_(loop, [this] { watch_group(); }),
      mercy_(loop, [this] { terminate(); }),
      grace_(loop, [this] { send_signal(SIGKILL); }) {}

int SpawnedProcess::spawn(Loop& loop, const std::vector<std::string>& argv, const std::array<int, 3>& stdio) {
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  std::array<uv_stdio_container_t, 3> containers{};
  for (std::size_t i = 0; i < containers.size(); ++i) {
    containers[i].flags = stdio[i] < 0 ? UV_IGNORE : UV_INHERIT_FD;  // for UV_IGNORE, libuv opens /dev/null
    if (stdio[i] >= 0) containers[i].data.fd = stdio[i];
  }
  uv_process_options_t options{};
  options.file = arguments[0];
  options.args = arguments.data();
  options.flags = UV_PROCESS_DETACHED;
  options.stdio = containers.data();
  options.stdio_count = static_cast<int>(containers.size());
  options.exit_cb = [](uv_process_t* process, std::int64_t exit_status, int signal) {
    static_cast<SpawnedProcess*>(HandleBlock::of(reinterpret_cast<uv_handle_t*>(process)))
        ->ended(exit_status, signal);
  };
  mark_all_close_on_exec();
  return uv_spawn(loop.raw(), &process_, &options);
}

void SpawnedProcess::ended(std::int64_t status, int signal) {
  running_ = false;
  mercy_.stop();
  Exited exited = std::exchange(exited_, nullptr);
  // Reaped a moment ago: a group of that number can only be its own.
  group_left_ = has_group() && (!released_ || leftovers_ == Leftovers::kEndThem);
  if (group_left_) {
    look_.start(kGroupLook);
    if (released_) terminate();
  } else {
    grace_.stop();
    // The share that libuv holds goes with the close; the rest happens while somebody still waits for it.
    close();
  }
  if (exited) exited(signal > 0 ? 128 + signal : static_cast<int>(status));
}

void SpawnedProcess::terminate() {
  send_signal(SIGTERM);
  if (running_ || group_left_) grace_.start(kKillGrace);
}

void SpawnedProcess::release(Duration grace, Leftovers leftovers) {
  exited_ = nullptr;
  if (std::exchange(released_, true)) return;
  leftovers_ = leftovers;
  if (!running_ && group_left_ && leftovers == Leftovers::kEndThem) return terminate();
  if (!running_) {
    group_left_ = false;
    look_.stop();
    return close();
  }
  if (grace <= Duration::zero()) return terminate();
  mercy_.start(grace);
}

void SpawnedProcess::send_signal(int number) {
  // The whole group; it exists as long as its leader is not reaped, or others are in it.
  if ((running_ || group_left_) && process_.pid > 0) kill(-process_.pid, number);
}

bool SpawnedProcess::has_group() const { return process_.pid > 0 && kill(-process_.pid, 0) == 0; }

void SpawnedProcess::watch_group() {
  if (has_group()) return look_.start(kGroupLook);
  group_left_ = false;
  grace_.stop();
  close();
}

void SpawnedProcess::on_loop_end() {
  exited_ = nullptr;
  if (leftovers_ == Leftovers::kLeaveThem) group_left_ = false;
  send_signal(SIGKILL);
  released_ = true;  // what is left of the group has had its signal, and nobody looks at it any more
  leftovers_ = Leftovers::kLeaveThem;
  group_left_ = false;
  look_.stop();
  if (!running_) close();
}

// --- its output
// --------------------------------------------------------------------------------------------------

// A real pipe: libuv's own choice is a socket, which a script cannot open by /dev/stderr.
Result<std::shared_ptr<OutputPipe>> OutputPipe::make(Loop& loop, Fd* child_end) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return errno_error("pipe");
  Fd our_end(fds[0]);
  child_end->reset(fds[1]);
  auto self = std::make_shared<OutputPipe>();
  uv_pipe_init(loop.raw(), &self->pipe_, 0);
  self->opened(reinterpret_cast<uv_handle_t*>(&self->pipe_), self);
  if (int status = uv_pipe_open(&self->pipe_, our_end.get()); status < 0) {
    self->close();
    return uv_error(status, "pipe");
  }
  our_end.release();
  return self;
}

void OutputPipe::read(Text text, Ended ended) {
  text_ = std::move(text);
  ended_ = std::move(ended);
  if (!open()) return;
  uv_read_start(
      reinterpret_cast<uv_stream_t*>(&pipe_),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        std::span<char> room = static_cast<Loop*>(handle->loop->data)->read_buffer();
        *buffer = uv_buf_init(room.data(), static_cast<unsigned>(room.size()));
      },
      [](uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
        auto* self = static_cast<OutputPipe*>(HandleBlock::of(reinterpret_cast<uv_handle_t*>(stream)));
        if (count == 0) return;
        if (count > 0) {
          if (Text to = self->text_) to({buffer->base, static_cast<std::size_t>(count)});
          return;
        }
        Ended to = std::exchange(self->ended_, nullptr);
        self->release();
        if (to) to();
      });
}

void OutputPipe::release() {
  text_ = nullptr;
  ended_ = nullptr;
  close();
}

}  // namespace jump
