#include "support/passing.h"

#include <fcntl.h>
#include <pty.h>
#include <sys/socket.h>

#include <cstring>

#include "support/setup_error.h"

namespace jump::test {
namespace {

void close_on_exec(int fd) { (void)::fcntl(fd, F_SETFD, FD_CLOEXEC); }

}  // namespace

bool send_passing(Socket& socket, std::string_view text, const std::vector<int>& descriptors) {
  iovec data{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  const std::size_t size = descriptors.size() * sizeof(int);
  std::vector<char> control(CMSG_SPACE(size));
  if (!descriptors.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(rights), descriptors.data(), size);
  }
  return ::sendmsg(socket.fd(), &message, MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

TestPipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) setup_error("pipe2");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

SocketPair make_socket_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) setup_error("socketpair");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

TerminalPair make_terminal() {
  int master = -1, slave = -1;
  if (::openpty(&master, &slave, nullptr, nullptr, nullptr) != 0) setup_error("openpty");
  close_on_exec(master);
  close_on_exec(slave);
  return {UniqueFd(master), UniqueFd(slave)};
}

}  // namespace jump::test
