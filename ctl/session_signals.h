// SessionSignals: the signals that a running session wants to know of, as something to wait for: window
// changes, and those that would end this program. Invariant: from its beginning to its end no such signal
// ends the program or is lost; one that was ignored before stays so.
#pragma once

#include <array>
#include <csignal>
#include <optional>
#include <string_view>

namespace jump::ctl {

class SessionSignals {
 public:
  SessionSignals();
  ~SessionSignals();
  SessionSignals(const SessionSignals&) = delete;
  SessionSignals& operator=(const SessionSignals&) = delete;

  // To be polled; -1: there is none, and signals do what they always do.
  int descriptor() const { return pipe_[0]; }
  // The next one that has come.
  std::optional<int> take();

 private:
  static constexpr std::array<int, 6> kCaught = {SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1};

  std::array<int, 2> pipe_ = {-1, -1};
  std::array<struct sigaction, kCaught.size()> before_{};
};

// "INT", as RFC 4254 section 6.10 names it; empty for one that has no name there.
std::string_view signal_name(int number);
// Ends the program as that signal does.
[[noreturn]] void die_by(int number);

}  // namespace jump::ctl
