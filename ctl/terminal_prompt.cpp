#include "ctl/terminal_prompt.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ctl/print.h"

namespace jump::ctl {
namespace {

// Where the handler reports to; -1 while no prompt is shown.
volatile std::sig_atomic_t signal_pipe = -1;

void report_signal(int number) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(number);
  [[maybe_unused]] const ssize_t written = ::write(signal_pipe, &byte, 1);
  errno = saved;
}

void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(descriptor, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

std::string sanitized_lines(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t end = text.find('\n');
    out += sanitized(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    out += '\n';
    text.remove_prefix(end + 1);
  }
}

bool readable(int descriptor) {
  pollfd poller = {descriptor, POLLIN, 0};
  return ::poll(&poller, 1, 0) > 0;
}

}  // namespace

void show_on_terminal(int terminal, std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  if (!text.empty()) write_all(terminal, sanitized_lines(text) + "\n");
}

TerminalPrompt::TerminalPrompt(int terminal, std::string_view text, bool echo)
    : terminal_(terminal), text_(sanitized_lines(text)), echo_(echo) {
  if (::pipe2(signals_.data(), O_CLOEXEC | O_NONBLOCK) != 0) signals_ = {-1, -1};
  show();
}

TerminalPrompt::~TerminalPrompt() {
  if (shown_) write_all(terminal_, "\n");  // whatever is said next begins a line
  restore();
  for (const int end : signals_) {
    if (end >= 0) ::close(end);
  }
  explicit_bzero(line_.data(), line_.size());
}

void TerminalPrompt::show() {
  signal_pipe = signals_[1];
  struct sigaction catching = {};
  catching.sa_handler = report_signal;
  for (std::size_t i = 0; i < kCaught.size(); ++i) {
    ::sigaction(kCaught[i], nullptr, &handlers_before_[i]);
    const bool ignored = handlers_before_[i].sa_handler == SIG_IGN;  // nohup, say
    if (!ignored && signals_[1] >= 0) ::sigaction(kCaught[i], &catching, nullptr);
  }
  shown_ = ::tcgetattr(terminal_, &before_) == 0;
  termios wanted = before_;
  wanted.c_lflag |= ICANON | ISIG;
  wanted.c_iflag |= ICRNL;
  if (echo_) {
    wanted.c_lflag |= ECHO | ECHOE | ECHOK;
  } else {
    wanted.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHOE | ECHOK | ECHONL);
  }
  // What was typed before was not meant for this prompt.
  if (shown_) ::tcsetattr(terminal_, TCSAFLUSH, &wanted);
  write_all(terminal_, text_);
}

void TerminalPrompt::restore() {
  if (shown_) ::tcsetattr(terminal_, TCSANOW, &before_);
  shown_ = false;
  for (std::size_t i = 0; i < kCaught.size(); ++i) ::sigaction(kCaught[i], &handlers_before_[i], nullptr);
  signal_pipe = -1;
}

PersonPrompt::State TerminalPrompt::proceed() {
  unsigned char number = 0;
  if (signals_[0] >= 0 && ::read(signals_[0], &number, 1) == 1) return on_signal(number);
  return readable(terminal_) ? read_line() : State::kWaiting;
}

PersonPrompt::State TerminalPrompt::on_signal(int number) {
  if (number == SIGINT) return State::kDeclined;
  write_all(terminal_, "\n");
  restore();
  ::raise(number);
  // It was to stop, and goes on: the half line of before is gone.
  explicit_bzero(line_.data(), size_);
  size_ = 0;
  show();
  return State::kWaiting;
}

PersonPrompt::State TerminalPrompt::read_line() {
  char rest[256];  // what is beyond the cap is read and dropped
  const bool full = size_ == line_.size();
  const ssize_t count = full ? ::read(terminal_, rest, sizeof(rest))
                             : ::read(terminal_, line_.data() + size_, line_.size() - size_);
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return State::kWaiting;
  if (count <= 0) return State::kDeclined;  // the end of input, or of the terminal
  if (full) {
    const bool ends = std::memchr(rest, '\n', static_cast<std::size_t>(count)) != nullptr;
    explicit_bzero(rest, sizeof(rest));
    return ends ? State::kAnswered : State::kWaiting;
  }
  size_ += static_cast<std::size_t>(count);
  if (line_[size_ - 1] != '\n') return State::kWaiting;
  --size_;
  if (echo_) {
    restore();  // the terminal has ended the line itself
  }
  return State::kAnswered;
}

Secret TerminalPrompt::take_answer() { return Secret(std::string_view(line_.data(), size_)); }

}  // namespace jump::ctl
