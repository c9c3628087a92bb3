// ChildProcess: runs a Command to its end. The child gets /dev/null as stdin, pipes as stdout and stderr, no
// other descriptor, default signal dispositions and an empty signal mask, and a session of its own: it cannot
// prompt on our terminal, a ^C there does not reach it, and its whole process group can be killed. Invariant:
// a child that was started is reaped, also when it is cancelled or late: SIGTERM, then SIGKILL.
#pragma once

#include <memory>

#include "loop/deferred.h"
#include "loop/loop.h"
#include "stream/io.h"

namespace jump {

class ChildProcess final : public Operation {
 public:
  ChildProcess(Loop& loop, const Command& command, Io::CommandDone done);
  ~ChildProcess() override;

 private:
  class Child;

  std::shared_ptr<Child> child_;
  UvDeferred start_;
};

}  // namespace jump
