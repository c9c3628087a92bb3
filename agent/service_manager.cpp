#include "service_manager.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace jump {
namespace {

constexpr int kFirstPassed = 3;                   // SD_LISTEN_FDS_START
constexpr unsigned long long kMostPassed = 4096;  // FileDescriptorStoreMax of the unit, with room to spare
constexpr std::size_t kMostInMessage = 64;        // the kernel takes 253

// And out of the environment.
std::string take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value ? value : "";
  unsetenv(name);
  return text;
}

std::optional<unsigned long long> number(const std::string& text) {
  unsigned long long value = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_us(const std::string& pid) { return number(pid) == static_cast<unsigned long long>(getpid()); }

// "/run/…", or "@…" for an abstract name.
Fd connect_notify(const std::string& path) {
  sockaddr_un address{};
  if (path.size() < 2 || (path[0] != '/' && path[0] != '@') || path.size() >= sizeof(address.sun_path))
    return {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd || connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) return {};
  return fd;
}

}  // namespace

ServiceManager ServiceManager::from_environment() {
  ServiceManager manager;
  manager.notify_ = connect_notify(take_variable("NOTIFY_SOCKET"));
  const auto interval = number(take_variable("WATCHDOG_USEC"));
  const std::string watched = take_variable("WATCHDOG_PID");
  if (interval && *interval > 0 && (watched.empty() || is_us(watched)))
    manager.watchdog_ = std::chrono::microseconds(*interval / 3);
  const auto passed = number(take_variable("LISTEN_FDS"));
  const bool for_us = is_us(take_variable("LISTEN_PID"));
  std::string names = take_variable("LISTEN_FDNAMES");
  for (int i = 0; for_us && passed && i < static_cast<int>(std::min(*passed, kMostPassed)); ++i) {
    const int fd = kFirstPassed + i;
    const std::size_t colon = names.find(':');
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) manager.passed_.push_back({names.substr(0, colon), Fd(fd)});
    names.erase(0, colon == std::string::npos ? colon : colon + 1);
  }
  return manager;
}

void ServiceManager::ready(std::string_view status) const { tell(fmt::format("READY=1\nSTATUS={}", status)); }

void ServiceManager::reloading() const {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  tell(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1'000'000LL + now.tv_nsec / 1000));
}

void ServiceManager::stopping(std::string_view status) const {
  tell(fmt::format("STOPPING=1\nSTATUS={}", status));
}

void ServiceManager::ends_within(Duration limit) const {
  tell(fmt::format("EXTEND_TIMEOUT_USEC={}",
                   std::chrono::duration_cast<std::chrono::microseconds>(limit).count()));
}

void ServiceManager::alive() const { tell("WATCHDOG=1"); }

bool ServiceManager::keep(std::string_view name, const std::vector<int>& descriptors) const {
  return tell(fmt::format("FDSTORE=1\nFDNAME={}\nFDPOLL=0", name), descriptors);
}

bool ServiceManager::give_up(std::string_view name) const {
  return tell(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name));
}

// One that does not listen must not hold us up.
bool ServiceManager::tell(std::string_view message, const std::vector<int>& descriptors) const {
  if (!notify_ || descriptors.size() > kMostInMessage) return false;
  iovec part{const_cast<char*>(message.data()), message.size()};
  msghdr whole{};
  whole.msg_iov = &part;
  whole.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMostInMessage * sizeof(int))] = {};
  if (const std::size_t size = descriptors.size() * sizeof(int); size > 0) {
    whole.msg_control = control;
    whole.msg_controllen = CMSG_SPACE(size);
    cmsghdr* head = CMSG_FIRSTHDR(&whole);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(head), descriptors.data(), size);
  }
  return sendmsg(notify_.get(), &whole, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

}  // namespace jump
