// SpawnedProcess: one child process, from its start to its reaping. It gets three descriptors as stdio and no
// other, default signal dispositions and an empty signal mask, and a session of its own: it cannot prompt on
// our terminal, a ^C there does not reach it, and its whole process group can be signalled.
//
// Invariant: a child that was started is reaped, whatever happens to its owner; its group gets SIGTERM and,
// when that does not help, SIGKILL, and SIGKILL at once when the loop ends. What the child leaves behind in
// its group is its own business, unless the owner says kEndThem.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "loop/handle_block.h"
#include "loop/loop.h"
#include "loop/timer.h"

namespace jump {

class SpawnedProcess final : public HandleBlock {
 public:
  using Exited = std::function<void(int exit_status)>;  // 128 + N when signal N ended it

  // `stdio`: descriptors that stay the caller's; -1: /dev/null (stdin only). `exited` is called from the
  // loop, once, unless release() comes first. Errors: kNotFound (no such program), and what the system says.
  static Result<std::shared_ptr<SpawnedProcess>> start(Loop& loop, const std::vector<std::string>& argv,
                                                       const std::array<int, 3>& stdio, Exited exited);

  // What becomes of processes of its group that are there when the child has ended.
  enum class Leftovers { kLeaveThem, kEndThem };

  bool running() const { return running_; }
  // The owner goes: `exited` is not called any more. When the child does not end by itself within `grace`,
  // its group gets SIGTERM, and SIGKILL kKillGrace later.
  void release(Duration grace, Leftovers leftovers = Leftovers::kLeaveThem);
  void on_loop_end() override;

 private:
  // From SIGTERM to SIGKILL: time to remove a temporary file, not to finish work.
  static constexpr seconds kKillGrace{2};
  // The group's number is ours as long as somebody is in it, so a group without its leader is looked at so
  // often: it is not signalled once it was seen empty, and numbers do not come round in that time.
  static constexpr milliseconds kGroupLook{50};

  SpawnedProcess(Loop& loop, Exited exited);
  int spawn(Loop& loop, const std::vector<std::string>& argv, const std::array<int, 3>& stdio);
  void terminate();
  void ended(std::int64_t status, int signal);
  void send_signal(int number);
  bool has_group() const;
  void watch_group();

  uv_process_t process_{};
  Exited exited_;
  bool running_ = false;
  bool group_left_ = false;  // the child has ended, others of its group have not
  bool released_ = false;
  Leftovers leftovers_ = Leftovers::kLeaveThem;
  UvTimer look_;   // at the group that is left
  UvTimer mercy_;  // until SIGTERM
  UvTimer grace_;  // until SIGKILL
};

// The read end of a child's stdout or stderr: text as it comes, then its end. Closed with its owner's
// release().
class OutputPipe final : public HandleBlock {
 public:
  using Text = std::function<void(std::string_view)>;
  using Ended = std::function<void()>;

  // `child_end` is for the child; the caller closes its copy after the start. Reading begins with read().
  static Result<std::shared_ptr<OutputPipe>> make(Loop& loop, Fd* child_end);

  // Either callback may destroy their owner, who calls release() then.
  void read(Text text, Ended ended);
  void release();
  void on_loop_end() override { release(); }

 private:
  uv_pipe_t pipe_{};
  Text text_;
  Ended ended_;
};

}  // namespace jump
