#include "loop/unix_path.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "loop/uv_error.h"

namespace jump {

Result<UnixPath> UnixPath::open(const std::string& path) {
  std::size_t slash = path.rfind('/');
  std::string prefix = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  std::string name = path.substr(prefix.size());
  if (name.empty() || name == "." || name == ".." || path.find('\0') != std::string::npos) {
    return Error{Errc::kInvalid, fmt::format("'{}' does not name a socket", path), {}};
  }
  Fd directory(::open(prefix.empty() ? "." : prefix.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return errno_error(fmt::format("cannot open the directory of {}", path));
  return UnixPath(path, std::move(prefix), std::move(name), std::move(directory));
}

Result<std::string> UnixPath::reach(const std::string& sibling) const {
  std::string plain = prefix_ + sibling;
  if (plain.size() <= kSunPathMax) return plain;
  std::string detour = fmt::format("/proc/self/fd/{}/{}", directory_.get(), sibling);
  if (detour.size() <= kSunPathMax) return detour;
  return Error{
      Errc::kInvalid,
      fmt::format("the socket's name {} is too long: {} bytes of path are the limit", sibling, kSunPathMax),
      "choose a shorter file name"};
}

Result<sockaddr_un> UnixPath::address(const std::string& sibling) const {
  Result<std::string> path = reach(sibling);
  if (!path) return path.error();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path->data(), path->size());
  return address;
}

}  // namespace jump
