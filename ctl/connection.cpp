#include "ctl/connection.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace jump::ctl {
namespace {

constexpr std::size_t kReadSize = 64 * 1024;

struct Peer {
  uid_t uid = 0;
  pid_t pid = 0;
};

bool read_peer(int descriptor, Peer* peer) {
#ifdef SO_PEERCRED
  ucred credentials = {};
  socklen_t size = sizeof(credentials);
  if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return false;
  *peer = Peer{credentials.uid, credentials.pid};
  return true;
#else
  gid_t group = 0;
  return getpeereid(descriptor, &peer->uid, &group) == 0;
#endif
}

Error system_error(Errc code, const std::string& path, int error) {
  return Error{code, fmt::format("socket {}: {}", path, std::strerror(error)), {}};
}

Error connect_error(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
      return Error{Errc::kUnreachable,
                   fmt::format("no agent is running (socket {}: {})", path, std::strerror(error)),
                   "start it with: jumpagent up"};
    case EAGAIN:
      return Error{Errc::kTimeout, fmt::format("the agent accepts no connections (socket {})", path),
                   "see its log, or restart it"};
    default:
      return system_error(Errc::kRefused, path, error);
  }
}

// A Unix socket's connect() waits for the listener's queue no longer than the send timeout.
void limit_connect(int descriptor, TimePoint deadline) {
  const auto left = std::max<Duration>(deadline - Clock::now(), milliseconds(1));
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(left).count();
  timeval limit = {};
  limit.tv_sec = static_cast<time_t>(us / 1'000'000);
  limit.tv_usec = static_cast<suseconds_t>(us % 1'000'000);
  (void)setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

// What is sent there may be secret: the one at the other end has to be this user or root.
Status check_peer(const std::string& path, const Peer& peer) {
  const uid_t own = geteuid();
  if (peer.uid == own || peer.uid == 0 || own == 0) return {};
  return Error{
      Errc::kRefused, fmt::format("socket {}: it belongs to another user (uid {})", path, peer.uid), {}};
}

Error send_failure(int error) {
  const std::string why = std::strerror(error);
  switch (error) {
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
      return Error{Errc::kClosed,
                   fmt::format("the agent ended the connection before the request was sent ({})", why),
                   "see its log, and whether it runs: jumpctl status"};
    case ETOOMANYREFS:
      return Error{
          Errc::kLimit, fmt::format("descriptors cannot be passed to the agent: {}", why),
          "too many that were passed wait to be received, of all programs of this user; try again, or raise "
          "the limit of open files (ulimit -n)"};
    case EBADF:
      return Error{Errc::kInvalid, fmt::format("descriptors cannot be passed to the agent: {}", why),
                   "one of stdin, stdout and stderr was closed; redirect it, as from /dev/null"};
    default:
      return Error{Errc::kInternal, fmt::format("the request cannot be sent to the agent: {}", why),
                   "try again; if it stays so, restart the agent"};
  }
}

int connect_to(int descriptor, const std::string& path) {
  sockaddr_un address = {};
  if (path.size() >= sizeof(address.sun_path)) return ENAMETOOLONG;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int rc = ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  return rc == 0 ? 0 : errno;
}

}  // namespace

Result<Connection> Connection::open(const std::string& path, TimePoint deadline) {
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (descriptor < 0) return system_error(Errc::kInternal, path, errno);
  Connection connection(descriptor);
  limit_connect(descriptor, deadline);
  if (const int error = connect_to(descriptor, path); error != 0) return connect_error(path, error);
  Peer peer;
  if (!read_peer(descriptor, &peer)) return system_error(Errc::kInternal, path, errno);
  if (Status status = check_peer(path, peer); !status.ok()) return status.error();
  connection.peer_pid_ = peer.pid;
  return connection;
}

Connection::Connection(int descriptor) : descriptor_(descriptor) {
  (void)fcntl(descriptor, F_SETFD, FD_CLOEXEC);
#ifdef SO_NOSIGPIPE
  const int on = 1;
  (void)setsockopt(descriptor, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
#endif
}

Status Connection::next_line(TimePoint deadline, std::string_view* line) {
  return next_line_or(deadline, line, {});
}

Status Connection::next_line_or(TimePoint deadline, std::string_view* line, std::span<const int> others) {
  using Next = proto::LineFramer::Next;
  flush();
  while (true) {
    switch (framer_.next(line)) {
      case Next::kLine:
        return {};
      case Next::kMore:
        break;
      case Next::kTooLong:
      case Next::kEnded:
        return Error{
            Errc::kProtocol, fmt::format("the agent's answer is longer than {} bytes", kMaxAnswer), {}};
    }
    // What the agent said before it went may still lie there.
    if (send_error_ != 0 && (eof_ || !receive())) return send_failure(send_error_);
    if (send_error_ != 0) continue;
    if (eof_) return Error{Errc::kClosed, "the agent ended the connection", {}};
    Result<Ready> ready = wait(deadline, others);
    if (!ready.ok()) return ready.error();
    if (*ready == Ready::kOther) {
      *line = {};
      return {};
    }
    flush();
    (void)receive();
  }
}

// The agent comes first: what it says may make the others pointless.
Result<Connection::Ready> Connection::wait(TimePoint deadline, std::span<const int> others) {
  std::vector<pollfd> pollers = {
      {descriptor_.get(), static_cast<short>(out_.empty() ? POLLIN : POLLIN | POLLOUT), 0}};
  for (const int other : others) pollers.push_back({other, POLLIN, 0});
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
    const int ready = ::poll(pollers.data(), static_cast<nfds_t>(pollers.size()),
                             static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30)));
    if (ready > 0) return pollers.front().revents != 0 ? Ready::kConnection : Ready::kOther;
    if (ready == 0) return Error{Errc::kTimeout, "no answer in time", {}};
    if (errno != EINTR) return Error{Errc::kInternal, fmt::format("poll: {}", std::strerror(errno)), {}};
  }
}

void Connection::end_input() { (void)::shutdown(descriptor_.get(), SHUT_WR); }

ssize_t Connection::send_some() {
#ifdef MSG_NOSIGNAL
  constexpr int kFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
#else
  constexpr int kFlags = MSG_DONTWAIT;
#endif
  iovec data{const_cast<char*>(out_.view().data()), out_.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(proto::kMaxDescriptors * sizeof(int))]{};
  if (!passed_.empty()) {
    const std::size_t size = passed_.size() * sizeof(int);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(size);
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(rights), passed_.data(), size);
  }
  return ::sendmsg(descriptor_.get(), &message, kFlags);
}

void Connection::flush() {
  if (out_.empty()) return;
  const ssize_t sent = send_some();
  if (sent > 0) {
    out_.consume(static_cast<std::size_t>(sent));
    passed_.clear();
  } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
    send_error_ = errno;
    out_.clear();
    passed_.clear();
  }
}

// False: nothing lies there.
bool Connection::receive() {
  std::array<std::uint8_t, kReadSize> buffer;
  const ssize_t count = ::recv(descriptor_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count > 0) {
    framer_.feed(ByteView(buffer.data(), static_cast<std::size_t>(count)));
  } else if (count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
    eof_ = true;
  }
  return count > 0;
}

}  // namespace jump::ctl
