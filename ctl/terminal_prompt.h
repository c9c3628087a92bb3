// A prompt on the terminal, answered by a line. Invariants: the terminal is as it was before, however this
// ends: with an answer, with Ctrl-C or end of input (both decline), by destruction, or by a signal that ends
// or stops the program, which is caught, and raised again when the terminal is in order.
#pragma once

#include <termios.h>

#include <array>
#include <csignal>
#include <string>
#include <string_view>

#include "ctl/person_prompt.h"

namespace jump::ctl {

class TerminalPrompt final : public PersonPrompt {
 public:
  // `terminal`: an open /dev/tty that outlives this. `text` is made safe to show. One at a time.
  TerminalPrompt(int terminal, std::string_view text, bool echo);
  ~TerminalPrompt() override;

  std::vector<int> descriptors() const override { return {terminal_, signals_[0]}; }
  State proceed() override;
  Secret take_answer() override;

 private:
  static constexpr std::array<int, 6> kCaught = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE};

  void show();
  void restore();
  State on_signal(int number);
  State read_line();

  const int terminal_;
  const std::string text_;
  const bool echo_;
  bool shown_ = false;  // settings and handlers are ours
  termios before_{};
  std::array<struct sigaction, kCaught.size()> handlers_before_{};
  std::array<int, 2> signals_ = {-1, -1};  // a pipe: the handler writes the signal's number
  std::array<char, kMaxAnswer> line_{};
  std::size_t size_ = 0;
};

// Lines to be read on the terminal, made safe to show.
void show_on_terminal(int terminal, std::string_view text);

}  // namespace jump::ctl
