#include "auth/small_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>

#include "base/fd.h"

namespace jump {
namespace {

constexpr std::size_t kSpecialFileLimit = 64 * 1024;  // devices and pipes do not say how long they are

Error system_error(int number) {
  std::string reason = std::strerror(number);
  if (!reason.empty()) reason[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(reason[0])));
  switch (number) {
    case ENOENT:
    case ENOTDIR:
      return {Errc::kNotFound, reason, ""};
    case EACCES:
    case EPERM:
      return {Errc::kRefused, reason, ""};
    default:
      return {Errc::kInvalid, reason, ""};
  }
}

}  // namespace

Result<SmallFile> read_small_file(const std::string& path, std::size_t limit) {
  // O_NONBLOCK: a forgotten named pipe must not hold a pool thread for ever.
  Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat info {};
  if (file.get() < 0 || fstat(file.get(), &info) != 0) return system_error(errno);
  if (S_ISDIR(info.st_mode)) return system_error(EISDIR);
  Error too_large{Errc::kLimit, fmt::format("larger than {} KiB", limit / 1024), ""};
  std::size_t expected = S_ISREG(info.st_mode) ? static_cast<std::size_t>(info.st_size) : kSpecialFileLimit;
  if (S_ISREG(info.st_mode) && expected > limit) return too_large;

  // One byte more than expected, so that the end of the file is seen. One allocation: growing would leave
  // copies.
  Bytes buffer(std::min(expected, limit) + 1);
  std::size_t used = 0;
  Status status;
  while (used < buffer.size()) {
    ssize_t got = read(file.get(), buffer.data() + used, buffer.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) status = system_error(errno);
    if (got <= 0) break;
    used += static_cast<std::size_t>(got);
  }
  if (status.ok() && used == buffer.size()) status = too_large;
  buffer.resize(used);
  SmallFile result{Secret(std::move(buffer)), info.st_uid, info.st_mode};
  if (!status) return status.error();
  return result;
}

}  // namespace jump
