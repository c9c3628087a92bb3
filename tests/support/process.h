// A child process: started without a shell, its output collected while it runs, killed and reaped with its
// owner. It dies with the test (PR_SET_PDEATHSIG), so a crashed test leaves nothing behind; a child of its
// own does not.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace jump::test {

using Environment = std::map<std::string, std::string>;
// PATH, HOME, USER, a fixed locale: never the ssh-agent, sockets or settings of the person who runs the
// tests.
Environment base_environment();

struct ProcessResult {
  int exit_status = -1;       // 128 + N when signal N ended it
  bool timed_out = false;     // it was killed at the deadline
  bool output_ended = false;  // nobody holds its stdout and stderr any more: a daemon that it started let go
  std::string out;
  std::string err;

  bool ok() const { return exit_status == 0 && !timed_out; }
  // Everything, for a failure message.
  std::string describe() const;
};

class Process {
 public:
  // argv[0] is looked up in the PATH of `env`.
  explicit Process(std::vector<std::string> argv, Environment env = base_environment());
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool running();
  void signal(int number);
  // Its exit status (as in ProcessResult), once it has ended within `deadline`.
  std::optional<int> wait(Duration deadline);
  // SIGKILL, then reaped.
  void kill();

  // All that it has written so far.
  std::string out() const;
  std::string err() const;
  // True once stdout and stderr are closed by all who had them.
  bool wait_output_end(Duration deadline);

 private:
  struct Output;
  pid_t pid_ = -1;
  std::optional<int> exit_status_;
  std::unique_ptr<Output> output_;
};

// Runs it to its end, or kills it at the deadline.
ProcessResult run_process(std::vector<std::string> argv, Duration deadline,
                          Environment env = base_environment());

}  // namespace jump::test
