#include "descriptor_passing.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

namespace jump {
namespace {

constexpr std::size_t kPerMessage = 200;  // the kernel takes 253

Error system_error(const std::string& what, int code = errno) {
  const Errc kind = code == EAGAIN ? Errc::kTimeout : Errc::kUnreachable;
  return Error{kind, what + ": " + std::strerror(code), {}};
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path) || path.find('\0') != std::string::npos)
    return Error{Errc::kInvalid, "'" + path + "' cannot be a socket's path", {}};
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Status check_peer(const Fd& connection) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  if (getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
    return system_error("who is there");
  if (peer.uid == geteuid()) return {};
  return Error{Errc::kRefused, "the other side is uid " + std::to_string(peer.uid), {}};
}

void bound_waits(const Fd& connection) {
  const timeval most{std::chrono::duration_cast<seconds>(kPassingMax).count(), 0};
  setsockopt(connection.get(), SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
  setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
}

// One byte, and as many descriptors as go with it.
struct Message {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(kPerMessage * sizeof(int))]{};
  msghdr header{};

  explicit Message(std::size_t room) {
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(room * sizeof(int));
  }
};

Status send_some(const Fd& connection, std::span<const int> descriptors) {
  Message message(descriptors.size());
  cmsghdr* passed = CMSG_FIRSTHDR(&message.header);
  passed->cmsg_level = SOL_SOCKET;
  passed->cmsg_type = SCM_RIGHTS;
  passed->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(passed), descriptors.data(), descriptors.size_bytes());
  ssize_t sent = 0;
  do {
    sent = sendmsg(connection.get(), &message.header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == 1 ? Status() : Status(system_error("passing descriptors"));
}

Status receive_some(const Fd& connection, std::vector<Fd>* to) {
  Message message(kPerMessage);
  ssize_t count = 0;
  do {
    count = recvmsg(connection.get(), &message.header, MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return system_error("receiving descriptors");
  for (cmsghdr* each = CMSG_FIRSTHDR(&message.header); each; each = CMSG_NXTHDR(&message.header, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) continue;
    std::vector<int> numbers((each->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    std::memcpy(numbers.data(), CMSG_DATA(each), numbers.size() * sizeof(int));
    for (int number : numbers) to->emplace_back(number);
  }
  if (count == 0 || (message.header.msg_flags & MSG_CTRUNC) != 0)
    return Error{Errc::kProtocol, "not all descriptors came", "raise the limit of open files (ulimit -n)"};
  return {};
}

}  // namespace

Status send_descriptors(const std::string& path, const std::vector<int>& descriptors) {
  Result<sockaddr_un> address = address_of(path);
  if (!address) return address.error();
  Fd connection(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!connection) return system_error("socket");
  bound_waits(connection);
  if (connect(connection.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(sockaddr_un)) != 0)
    return system_error("cannot connect to " + path);
  if (Status own = check_peer(connection); !own) return own;
  std::span<const int> left(descriptors);
  while (!left.empty()) {
    const std::size_t count = std::min(left.size(), kPerMessage);
    if (Status sent = send_some(connection, left.first(count)); !sent) return sent;
    left = left.subspan(count);
  }
  return {};
}

Result<DescriptorReceiver> DescriptorReceiver::listen(const std::string& path) {
  Result<sockaddr_un> address = address_of(path);
  if (!address) return address.error();
  Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener) return system_error("socket");
  fchmod(listener.get(), 0600);
  unlink(path.c_str());  // of one that was killed
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(sockaddr_un)) != 0 ||
      ::listen(listener.get(), 1) != 0)
    return system_error("cannot listen on " + path);
  return DescriptorReceiver(path, std::move(listener));
}

DescriptorReceiver::DescriptorReceiver(DescriptorReceiver&& other) noexcept
    : path_(std::exchange(other.path_, {})), listener_(std::move(other.listener_)) {}

DescriptorReceiver::~DescriptorReceiver() {
  if (!path_.empty()) unlink(path_.c_str());
}

Result<std::vector<Fd>> DescriptorReceiver::receive(std::size_t count) {
  bound_waits(listener_);
  Fd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) return system_error("nobody passes descriptors");
  if (Status own = check_peer(connection); !own) return own.error();
  bound_waits(connection);
  std::vector<Fd> all;
  while (all.size() < count) {
    if (Status some = receive_some(connection, &all); !some) return some.error();
  }
  return all;
}

}  // namespace jump
