#include "ctl/terminal_input.h"

#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

namespace jump::ctl {
namespace {

bool send_all(int to, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t count = ::send(to, bytes, size, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    bytes += count;
    size -= static_cast<std::size_t>(count);
  }
  return true;
}

// Ends with the input, or with the session's interest in it. In the background it must not read before there
// is something, or it would be stopped at once.
void relay(int to) {
  std::array<char, 4096> buffer;
  while (true) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, -1) < 0 && errno != EINTR) return;
    if (input.revents == 0) continue;
    const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || !send_all(to, buffer.data(), static_cast<std::size_t>(count))) return;
  }
}

}  // namespace

Result<TerminalInput> TerminalInput::make() {
  std::array<int, 2> ends = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return Error{Errc::kInternal, fmt::format("socketpair: {}", std::strerror(errno)), {}};
  TerminalInput input;
  input.own_end_ = Fd(ends[0]);
  input.session_end_ = Fd(ends[1]);
  return input;
}

void TerminalInput::start() {
  session_end_.reset();
  // The signals that this program handles are the main thread's; those of job control stop all of it.
  sigset_t handled, before;
  sigemptyset(&handled);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGWINCH}) sigaddset(&handled, number);
  pthread_sigmask(SIG_BLOCK, &handled, &before);
  std::thread([end = std::move(own_end_)] { relay(end.get()); }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace jump::ctl
