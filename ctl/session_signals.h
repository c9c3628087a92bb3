// SessionSignals: the signals that a running session wants to know of, as something to wait for: window
// changes, those that would end this program, and those of job control where the terminal has to be cared
// for. Invariant: from its beginning to its end no such signal ends or stops the program, or is lost; one
// that was ignored before stays so.
#pragma once

#include <array>
#include <csignal>
#include <optional>
#include <string_view>
#include <vector>

namespace jump::ctl {

class SessionSignals {
 public:
  // `job_control`: also SIGTSTP and SIGCONT.
  explicit SessionSignals(bool job_control);
  ~SessionSignals();
  SessionSignals(const SessionSignals&) = delete;
  SessionSignals& operator=(const SessionSignals&) = delete;

  // To be polled; -1: there is none, and signals do what they always do.
  int descriptor() const { return pipe_[0]; }
  // The next one that has come.
  std::optional<int> take();

 private:
  struct Before {
    int number;
    struct sigaction action;
  };

  std::array<int, 2> pipe_ = {-1, -1};
  std::vector<Before> before_;
};

// "INT", as RFC 4254 section 6.10 names it; empty for one that has no name there.
std::string_view signal_name(int number);
// Ends the program as that signal does.
[[noreturn]] void die_by(int number);
// Stops it as that signal does; comes back when it goes on, or where nobody could let it (an orphaned group).
void stop_by(int number);
// All of them, to be kept from other threads.
sigset_t session_signals();

}  // namespace jump::ctl
