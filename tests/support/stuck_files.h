// StuckFiles: a file system of one file whose server stops answering when told to, as a network file system
// does when its server is away (FUSE, spoken by a process of its own). Needs root.
//
// Invariant: it is stuck for kLongest at most, whatever becomes of the test: a process that waits for it
// cannot be killed, not even the test's own.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <string>

#include "support/temp_dir.h"

namespace jump::test {

class StuckFiles {
 public:
  static constexpr unsigned kLongest = 20;  // seconds

  StuckFiles();
  ~StuckFiles();
  StuckFiles(const StuckFiles&) = delete;
  StuckFiles& operator=(const StuckFiles&) = delete;

  explicit operator bool() const { return server_ > 0; }
  std::string file() const { return directory_.path() + "/file"; }
  // From now on nobody is answered.
  void stick() { shared_->stuck = true; }
  // Requests that came since then.
  int unanswered() const { return shared_->unanswered; }
  // Whoever waits fails. To be called before descriptors of it are closed.
  void end();

 private:
  struct Shared {
    std::atomic<bool> stuck = false;
    std::atomic<int> unanswered = 0;
  };

  [[noreturn]] static void serve(int device, Shared& shared);

  TempDir directory_;
  Shared* shared_ = nullptr;
  pid_t server_ = 0;
};

}  // namespace jump::test
