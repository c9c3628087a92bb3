#include "ctl/session_terminal.h"

#include <signal.h>
#include <unistd.h>

#include <utility>

#include "ctl/session_signals.h"

namespace jump::ctl {

Result<SessionTerminal> SessionTerminal::make() {
  Result<TerminalInput> input = TerminalInput::make();
  if (!input.ok()) return input.error();
  return SessionTerminal(*std::move(input));
}

void SessionTerminal::describe(proto::SessionTty& tty) {
  RawTerminal::await_foreground(STDIN_FILENO);
  told_ = terminal_size(STDIN_FILENO).value_or(TerminalSize{});
  tty.columns = told_.columns;
  tty.rows = told_.rows;
  tty.width = told_.width;
  tty.height = told_.height;
  tty.modes.emplace();
  for (const auto& [opcode, value] : read_terminal_modes(STDIN_FILENO))
    tty.modes->emplace(std::to_string(opcode), value);
}

Status SessionTerminal::begin(bool raw, std::function<void(const TerminalSize&)> tell) {
  tell_ = std::move(tell);
  if (raw) {
    raw_ = std::make_unique<RawTerminal>(STDIN_FILENO);
    raw_->enter();
    tell_size();  // it may have changed during the login
  }
  Status started = input_.start();
  if (!started && raw_) raw_->leave();
  return started;
}

void SessionTerminal::on_signal(int number) {
  if (!raw_) return;
  if (number == SIGTSTP) {
    raw_->leave();
    stop_by(number);
    // An orphaned process group is not stopped, and no SIGCONT follows.
    away_ = true;
    look();
  } else if (number == SIGCONT) {
    away_ = true;
    look();
  } else if (number == SIGWINCH && !away_) {
    tell_size();
  }
}

void SessionTerminal::look() {
  if (!away_) return;
  if (!raw_->in_foreground()) return;
  away_ = false;
  raw_->enter();
  tell_size();
}

void SessionTerminal::tell_size() {
  const std::optional<TerminalSize> size = terminal_size(STDIN_FILENO);
  if (!size || *size == told_) return;
  told_ = *size;
  tell_(*size);
}

}  // namespace jump::ctl
