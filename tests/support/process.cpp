#include "support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "support/setup_error.h"
#include "support/unique_fd.h"

namespace jump::test {

namespace {

// How long the output of a process that has ended may still be held open by a child of its.
constexpr Duration kOutputGrace = seconds(3);

struct Pipe {
  UniqueFd read, write;
};

Pipe make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) setup_error("cannot make a pipe");
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

int poll_milliseconds(Duration left) {
  const auto ms = std::chrono::ceil<milliseconds>(left).count();
  return ms < 0 ? 0 : static_cast<int>(ms);
}

std::vector<char*> c_strings(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& s : strings) pointers.push_back(s.data());
  pointers.push_back(nullptr);
  return pointers;
}

// In the child, after fork() from a program with threads: only async-signal-safe calls.
[[noreturn]] void become(char* const* argv, char* const* env, int in, int out, int err, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  for (const int number : {SIGPIPE, SIGINT, SIGQUIT}) ::signal(number, SIG_DFL);  // `nohup … &` ignores them
  ::execvpe(argv[0], argv, env);
  ::_exit(127);
}

}  // namespace

Environment base_environment() {
  Environment env{{"PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"},
                  {"LC_ALL", "C.UTF-8"},
                  {"RES_OPTIONS", "timeout:1 attempts:2"}};  // where no resolver answers, that is soon known
  if (const char* path = std::getenv("PATH")) env["PATH"] = path + std::string(":/usr/sbin:/sbin");
  if (const passwd* me = ::getpwuid(::getuid())) {
    env["USER"] = me->pw_name;
    env["HOME"] = me->pw_dir;
  }
  return env;
}

std::string ProcessResult::describe() const {
  std::string text = timed_out ? "killed at its deadline" : "exit " + std::to_string(exit_status);
  return text + "\n--- stdout\n" + out + "\n--- stderr\n" + err;
}

// Reads both pipes on a thread of its own, so that a child never waits for its reader.
struct Process::Output {
  Output(UniqueFd out_fd, UniqueFd err_fd) : fds{std::move(out_fd), std::move(err_fd)} {
    reader = std::thread([this] { read_until_end(); });
  }
  ~Output() {
    const std::uint64_t one = 1;
    if (::write(stop.get(), &one, sizeof one) < 0) std::abort();
    reader.join();
  }

  void read_until_end() {
    while (open[0] || open[1]) {
      pollfd polled[3] = {{open[0] ? fds[0].get() : -1, POLLIN, 0},
                          {open[1] ? fds[1].get() : -1, POLLIN, 0},
                          {stop.get(), POLLIN, 0}};
      if (::poll(polled, 3, -1) < 0 && errno != EINTR) break;
      for (std::size_t i = 0; i < 2; ++i) {
        if (polled[i].revents) read_some(i);
      }
      if (polled[2].revents && !polled[0].revents && !polled[1].revents) return;
    }
    std::lock_guard lock(mutex);
    open[0] = open[1] = false;
    changed.notify_all();
  }

  // The lock is held over the read, which does not block: what is in neither pipe is in `text`.
  void read_some(std::size_t i) {
    char buffer[16384];
    std::lock_guard lock(mutex);
    const ssize_t count = ::read(fds[i].get(), buffer, sizeof buffer);
    if (count > 0) text[i].append(buffer, static_cast<std::size_t>(count));
    open[i] = count > 0 || (count < 0 && errno == EINTR);
  }

  // What was written to it before this call.
  std::string read(std::size_t i) {
    std::unique_lock lock(mutex);
    const std::size_t size = text[i].size() + left(i);
    while (text[i].size() < size && open[i]) {
      lock.unlock();
      std::this_thread::yield();
      lock.lock();
    }
    return text[i];
  }
  std::size_t left(std::size_t i) const {
    int bytes = 0;
    return ::ioctl(fds[i].get(), FIONREAD, &bytes) == 0 ? static_cast<std::size_t>(bytes) : 0;
  }

  UniqueFd fds[2];
  UniqueFd stop{::eventfd(0, EFD_CLOEXEC)};
  std::mutex mutex;
  std::condition_variable changed;
  std::string text[2];
  bool open[2] = {true, true};
  std::thread reader;
};

Process::Process(std::vector<std::string> argv, Environment env) {
  std::vector<std::string> assignments;
  for (const auto& [name, value] : env) assignments.push_back(name + "=" + value);
  const std::vector<char*> c_argv = c_strings(argv), c_env = c_strings(assignments);

  UniqueFd in(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  Pipe out = make_pipe(), err = make_pipe();
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) setup_error("cannot fork");
  if (pid_ == 0) {
    become(c_argv.data(), c_env.data(), in.get(), out.write.get(), err.write.get(), parent);
  }
  output_ = std::make_unique<Output>(std::move(out.read), std::move(err.read));
}

Process::~Process() {
  signal(SIGKILL);
  wait(seconds(10));
}

bool Process::running() { return !wait(Duration::zero()).has_value(); }

void Process::signal(int number) {
  if (!exit_status_) ::kill(pid_, number);
}

std::optional<int> Process::wait(Duration deadline) {
  if (exit_status_) return exit_status_;
  UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  const TimePoint end = Clock::now() + deadline;
  pollfd polled{handle.get(), POLLIN, 0};
  while (::poll(&polled, 1, poll_milliseconds(end - Clock::now())) < 0 && errno == EINTR) {
  }
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  exit_status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return exit_status_;
}

void Process::kill() {
  signal(SIGKILL);
  if (!wait(seconds(10))) setup_error("process " + std::to_string(pid_) + " survives SIGKILL");
}

std::string Process::out() const { return output_->read(0); }

std::string Process::err() const { return output_->read(1); }

bool Process::wait_output_end(Duration deadline) {
  std::unique_lock lock(output_->mutex);
  return output_->changed.wait_for(lock, deadline, [this] { return !output_->open[0] && !output_->open[1]; });
}

ProcessResult run_process(std::vector<std::string> argv, Duration deadline, Environment env) {
  Process process(std::move(argv), std::move(env));
  ProcessResult result;
  std::optional<int> status = process.wait(deadline);
  if (!status) {
    result.timed_out = true;
    process.kill();
    status = process.wait(Duration::zero());
  }
  result.exit_status = status.value_or(-1);
  result.output_ended = process.wait_output_end(kOutputGrace);
  result.out = process.out();
  result.err = process.err();
  return result;
}

}  // namespace jump::test
