#include "loop/unix_listen_socket.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "base/printable.h"
#include "loop/uv_error.h"

namespace jump {
namespace {

// Two processes that both find a stale name agree by a lock on the directory. It is held for microseconds;
// whoever holds it longer is not one of us.
constexpr std::chrono::microseconds kLockPause{500};
// Each round means that somebody else was quicker.
constexpr int kLinkTries = 8;
constexpr std::size_t kTemporaryStem = 24;

// Short, however long the name: both have to fit the kernel's limit.
std::string temporary_name(const std::string& name) {
  std::uint32_t random = 0;
  if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0) {
    random = static_cast<std::uint32_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  return fmt::format("{}.{}.{:08x}", name.substr(0, kTemporaryStem), getpid(), random);
}

// ": held by nginx (pid 123)": who listens behind a connected socket. Empty when it cannot be told.
std::string holder_behind(int connected) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  if (getsockopt(connected, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.pid <= 0) return {};
  if (peer.pid == getpid()) return ": held by this process";
  Fd comm(::open(fmt::format("/proc/{}/comm", peer.pid).c_str(), O_RDONLY | O_CLOEXEC));
  char name[32];
  ssize_t size = comm ? read(comm.get(), name, sizeof(name)) : 0;
  while (size > 0 && name[size - 1] == '\n') --size;
  if (size <= 0) return fmt::format(": held by pid {}", peer.pid);
  return fmt::format(": held by {} (pid {})", printable({name, static_cast<std::size_t>(size)}, sizeof(name)),
                     peer.pid);
}

Fd lock_directory(int directory, std::chrono::milliseconds patience) {
  Fd lock(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock) return {};
  const auto until = std::chrono::steady_clock::now() + patience;
  while (true) {
    if (flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
    if (std::chrono::steady_clock::now() >= until) return {};
    std::this_thread::sleep_for(kLockPause);
  }
}

}  // namespace

Result<std::unique_ptr<UnixListenSocket>> UnixListenSocket::open(const std::string& path, int backlog,
                                                                 std::chrono::milliseconds patience) {
  Result<UnixPath> split = UnixPath::open(path);
  if (!split) return split.error();
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno_error("cannot make a socket");
  std::unique_ptr<UnixListenSocket> self(new UnixListenSocket(*std::move(split), std::move(fd)));

  if (auto fits = self->path_.address(self->path_.name()); !fits) return fits.error();
  const std::string name = temporary_name(self->path_.name());
  if (Status status = self->bind_and_listen(name, backlog); !status) return status.error();
  Status linked = self->link_into_place(name, patience);
  unlinkat(self->path_.directory(), name.c_str(), 0);
  if (!linked) return linked.error();
  self->named_ = true;
  return self;
}

Result<std::unique_ptr<UnixListenSocket>> UnixListenSocket::adopt(const std::string& path, Fd fd,
                                                                  bool owns_name) {
  int listening = 0;
  int domain = 0;
  socklen_t length = sizeof(int);
  if (getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0 || listening == 0 ||
      getsockopt(fd.get(), SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 || domain != AF_UNIX) {
    return Error{
        Errc::kInvalid, fmt::format("what was passed for {} is not a listening Unix socket", path), {}};
  }
  Result<UnixPath> split = UnixPath::open(path);
  if (!split) return split.error();
  std::unique_ptr<UnixListenSocket> self(new UnixListenSocket(*std::move(split), std::move(fd)));
  struct stat there {};
  const UnixPath& place = self->path_;
  if (owns_name && fstatat(place.directory(), place.name().c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0) {
    self->device_ = there.st_dev;
    self->inode_ = there.st_ino;
    self->named_ = S_ISSOCK(there.st_mode);
  }
  return self;
}

Status UnixListenSocket::bind_and_listen(const std::string& name, int backlog) {
  Result<sockaddr_un> address = path_.address(name);
  if (!address) return address.error();
  if (fchmod(fd_.get(), 0600) != 0) return errno_error("cannot set the socket's mode");
  if (bind(fd_.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(sockaddr_un)) != 0) {
    return errno_error(fmt::format("cannot listen on {}", path_.text()));
  }
  struct stat made {};
  bool found = fstatat(path_.directory(), name.c_str(), &made, AT_SYMLINK_NOFOLLOW) == 0;
  device_ = made.st_dev;
  inode_ = made.st_ino;
  if (found && (made.st_mode & 0777) == 0600 && listen(fd_.get(), backlog) == 0) return {};
  Error error = !found || (made.st_mode & 0777) == 0600
                    ? errno_error(fmt::format("cannot listen on {}", path_.text()))
                    : Error{Errc::kRefused,
                            fmt::format("the file system of {} does not keep a socket private", path_.text()),
                            "choose a path on a local file system"};
  unlinkat(path_.directory(), name.c_str(), 0);
  return error;
}

Status UnixListenSocket::link_into_place(const std::string& temporary, std::chrono::milliseconds patience) {
  for (int i = 0; i < kLinkTries; ++i) {
    if (linkat(path_.directory(), temporary.c_str(), path_.directory(), path_.name().c_str(), 0) == 0)
      return {};
    if (errno != EEXIST) return errno_error(fmt::format("cannot create {}", path_.text()));
    Status cleared = clear_stale_name(patience);
    if (!cleared) return cleared;
  }
  return Error{Errc::kInUse, fmt::format("{} keeps being taken by somebody else", path_.text()), {}};
}

// Removes the final name if nobody listens behind it; kInUse otherwise. Between the question and the removal
// the name cannot become another agent's: that one needs the same lock to remove the stale name first.
Status UnixListenSocket::clear_stale_name(std::chrono::milliseconds patience) {
  Fd lock = lock_directory(path_.directory(), patience);
  if (!lock) return Error{Errc::kInUse, fmt::format("the directory of {} is locked", path_.text()), {}};
  struct stat there {};
  if (fstatat(path_.directory(), path_.name().c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? Status() : errno_error(path_.text());
  }
  if (!S_ISSOCK(there.st_mode)) {
    return Error{Errc::kInUse, fmt::format("{} exists and is not a socket", path_.text()),
                 "remove it, or choose another path"};
  }
  if (there.st_uid != geteuid()) {
    return Error{Errc::kInUse, fmt::format("{} exists and is another user's", path_.text()),
                 "choose another path"};
  }
  Result<sockaddr_un> address = path_.address(path_.name());
  if (!address) return address.error();
  Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return errno_error("cannot make a socket");
  const bool connected =
      connect(probe.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(sockaddr_un)) == 0;
  if (!connected && errno == ECONNREFUSED) {
    if (unlinkat(path_.directory(), path_.name().c_str(), 0) == 0 || errno == ENOENT) return {};
    return errno_error(fmt::format("cannot remove the stale {}", path_.text()));
  }
  std::string holder = connected ? holder_behind(probe.get()) : std::string();
  if (holder.empty()) holder = ": another process listens there";
  return Error{Errc::kInUse, fmt::format("{} is in use{}", path_.text(), holder), "choose another path"};
}

UnixListenSocket::~UnixListenSocket() {
  if (!named_) return;
  struct stat there {};
  if (fstatat(path_.directory(), path_.name().c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (there.st_dev == device_ && there.st_ino == inode_) {
    unlinkat(path_.directory(), path_.name().c_str(), 0);
  }
}

}  // namespace jump
