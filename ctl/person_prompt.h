// One thing asked of the person who is here: on the terminal (terminal_prompt.h) or by a program
// (askpass_prompt.h). Made, it is shown; destroyed, it is taken away. Nothing blocks: whoever has it polls.
#pragma once

#include <string>
#include <vector>

#include "base/secret.h"

namespace jump::ctl {

class PersonPrompt {
 public:
  enum class State { kWaiting, kAnswered, kDeclined, kUnable };
  // An answer's cap: what a terminal's line discipline holds in one line.
  static constexpr std::size_t kMaxAnswer = 4096;

  virtual ~PersonPrompt() = default;
  PersonPrompt() = default;
  PersonPrompt(const PersonPrompt&) = delete;
  PersonPrompt& operator=(const PersonPrompt&) = delete;

  // When one of these can be read, proceed() is to be called.
  virtual std::vector<int> descriptors() const = 0;
  virtual State proceed() = 0;
  // Once, in kAnswered.
  virtual Secret take_answer() = 0;
  // In kUnable: why the person could not be asked.
  virtual std::string why() const { return {}; }
};

}  // namespace jump::ctl
