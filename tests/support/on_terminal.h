// A program on a terminal of its own, as a person has it: what it shows is collected, and somebody can type.
// Killed and reaped with its owner.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "support/process.h"
#include "support/unique_fd.h"

namespace jump::test {

class OnTerminal {
 public:
  // argv[0] is a path.
  OnTerminal(std::vector<std::string> argv, const Environment& env);
  ~OnTerminal();
  OnTerminal(const OnTerminal&) = delete;
  OnTerminal& operator=(const OnTerminal&) = delete;

  void type(const std::string& text);
  // The same for more than a terminal holds: what is shown is read meanwhile.
  void paste(const std::string& text);
  // As a window does: the program is told.
  void resize(unsigned short columns, unsigned short rows);
  // Everything that was shown so far.
  const std::string& shown();
  int count(const std::string& text);
  // Waits for it.
  bool shows(const std::string& text, int times = 1);
  // Waits for its end: 128 + N when signal N ended it; -1: it goes on.
  int exit_status();
  void kill();
  pid_t pid() const { return pid_; }
  // Whether the terminal echoes what is typed.
  bool echoes() const;
  // Whether it takes and shows bytes as they are, as no shell's prompt does.
  bool is_raw() const;

 private:
  pid_t pid_ = -1;
  UniqueFd master_;
  std::string shown_;
};

}  // namespace jump::test
