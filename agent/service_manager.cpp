#include "service_manager.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/socket.h>
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

constexpr int kFirstPassed = 3;  // SD_LISTEN_FDS_START
constexpr unsigned long long kMostPassed = 64;

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
  take_variable("LISTEN_FDNAMES");
  for (int i = 0; for_us && passed && i < static_cast<int>(std::min(*passed, kMostPassed)); ++i) {
    const int fd = kFirstPassed + i;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) manager.sockets_.emplace_back(fd);
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

void ServiceManager::alive() const { tell("WATCHDOG=1"); }

// One that does not listen must not hold us up.
void ServiceManager::tell(std::string_view message) const {
  if (notify_) send(notify_.get(), message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace jump
