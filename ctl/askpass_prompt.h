// A prompt by the program that $SSH_ASKPASS names, as ssh(1) has it: it gets the text as its argument, and
// prints the answer. $SSH_ASKPASS_PROMPT tells it what is wanted: "confirm" (its exit status is the answer),
// "none" (just show it, until it is killed), or unset.
#pragma once

#include <sys/types.h>

#include <array>
#include <string>

#include "ctl/person_prompt.h"

namespace jump::ctl {

class AskpassPrompt final : public PersonPrompt {
 public:
  enum class Kind { kText, kConfirm, kNotice };

  AskpassPrompt(const std::string& program, const std::string& text, Kind kind);
  ~AskpassPrompt() override;

  std::vector<int> descriptors() const override;
  State proceed() override;
  Secret take_answer() override;

 private:
  State ended();

  const Kind kind_;
  pid_t child_ = -1;
  int output_ = -1;
  std::array<char, kMaxAnswer> answer_{};
  std::size_t size_ = 0;
};

}  // namespace jump::ctl
