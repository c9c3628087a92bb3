// A prompt by the program that $SSH_ASKPASS names, as ssh(1) has it: it gets the text as its argument, and
// prints the answer. $SSH_ASKPASS_PROMPT tells it what is wanted: "confirm" (its exit status is the answer),
// "none" (just show it, until it is killed), or unset.
//
// It has a process group of its own, and the terminal for as long as it asks, as it may read from there.
// Invariants: however the program behaves, nobody waits for it longer than a moment once its prompt is over;
// its group ends with the prompt, or with a signal that ends this program.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
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
  std::string why() const override { return why_; }

 private:
  State ended();
  void note_failure(int error);
  // Whether it has exited with 0; it has ended within the time, or is killed.
  bool reap(std::chrono::milliseconds patience);
  void lend_terminal();
  void take_terminal_back();

  const std::string program_;
  const Kind kind_;
  std::string why_;
  int exec_error_ = -1;  // a pipe: says why the program could not be run, or just ends
  pid_t child_ = -1;
  int terminal_ = -1;  // that it has
  int output_ = -1;
  std::array<char, kMaxAnswer> answer_{};
  std::size_t size_ = 0;
};

}  // namespace jump::ctl
