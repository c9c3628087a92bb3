#include "proto/socket_path.h"

#include <fmt/core.h>
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>

namespace jump::proto {
namespace {

constexpr const char* kName = "jumpagent/control.sock";

std::string_view value_of(const Environment& environment, const char* name) {
  const char* value = environment(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

std::string_view directory_of(const Environment& environment, const char* name) {
  const std::string_view value = value_of(environment, name);
  return value.starts_with('/') ? value : std::string_view();
}

Result<std::string> choose(const std::string& flag, const Environment& environment, const std::string& home) {
  if (!flag.empty()) return flag;
  if (const auto path = value_of(environment, "JUMPAGENT_SOCK"); !path.empty()) return std::string(path);
  if (const auto dir = directory_of(environment, "XDG_RUNTIME_DIR"); !dir.empty()) {
    return fmt::format("{}/{}", dir, kName);
  }
  if (const auto dir = directory_of(environment, "XDG_STATE_HOME"); !dir.empty()) {
    return fmt::format("{}/{}", dir, kName);
  }
  const std::string_view own_home = directory_of(environment, "HOME");
  const std::string_view base = own_home.empty() ? std::string_view(home) : own_home;
  if (base.empty()) {
    return Error{Errc::kNotFound, "no place for the control socket: neither XDG_RUNTIME_DIR nor HOME is set",
                 "name one with --socket PATH"};
  }
  return fmt::format("{}/.local/state/{}", base, kName);
}

std::string passwd_home() {
  std::array<char, 4096> buffer;
  passwd entry = {};
  passwd* found = nullptr;
  const int rc = getpwuid_r(getuid(), &entry, buffer.data(), buffer.size(), &found);
  return rc == 0 && found != nullptr && entry.pw_dir != nullptr ? entry.pw_dir : "";
}

}  // namespace

Result<std::string> control_socket_path(const std::string& flag, const Environment& environment,
                                        const std::string& home) {
  Result<std::string> path = choose(flag, environment, home);
  if (path.ok() && path->size() > kMaxSocketPath) {
    return Error{Errc::kInvalid,
                 fmt::format("the control socket's path has {} bytes, a Unix socket's may have {}: {}",
                             path->size(), kMaxSocketPath, *path),
                 "name a shorter one with --socket PATH or JUMPAGENT_SOCK"};
  }
  return path;
}

Result<std::string> control_socket_path(const std::string& flag) {
  return control_socket_path(
      flag, [](const char* name) { return std::getenv(name); }, passwd_home());
}

}  // namespace jump::proto
