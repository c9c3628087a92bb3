#include "ctl/terminal_input.h"

#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include "ctl/session_signals.h"

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

// Ends with the input, or with the session's interest in it: what is typed after that is the next program's.
// In the background it must not read before there is something, or it would be stopped at once.
void relay(int to) {
  std::array<char, 4096> buffer;
  while (true) {
    std::array<pollfd, 2> both{{{STDIN_FILENO, POLLIN, 0}, {to, 0, 0}}};
    if (::poll(both.data(), both.size(), -1) < 0 && errno != EINTR) return;
    if (both[1].revents != 0) return;
    if (both[0].revents == 0) continue;
    const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    // Who else has the terminal may have made it non-blocking, and may have read what was there.
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    const bool sent = count > 0 && send_all(to, buffer.data(), static_cast<std::size_t>(count));
    ::explicit_bzero(buffer.data(), buffer.size());  // a password, perhaps
    if (!sent) return;
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

Status TerminalInput::start() {
  session_end_.reset();
  // The signals that this program handles are the main thread's; those that stop it stop all of it.
  sigset_t handled = session_signals(), before;
  pthread_sigmask(SIG_BLOCK, &handled, &before);
  Status started;
  try {
    std::thread([end = std::move(own_end_)] { relay(end.get()); }).detach();
  } catch (const std::system_error& error) {
    started = Error{Errc::kInternal, fmt::format("no thread for what is typed: {}", error.what()),
                    "this user may have too many processes: ulimit -u"};
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

}  // namespace jump::ctl
