#include "auth/small_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

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

// What is left of it, or nothing if that is more than `room` bytes. One allocation: growing would leave
// copies.
Result<std::optional<Secret>> read_up_to(int file, std::size_t room) {
  Bytes buffer(room + 1);  // so that the end of the file is seen
  std::size_t used = 0;
  Status status;
  while (used < buffer.size()) {
    ssize_t got = read(file, buffer.data() + used, buffer.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) status = system_error(errno);
    if (got <= 0) break;
    used += static_cast<std::size_t>(got);
  }
  buffer.resize(used);
  Secret content(std::move(buffer));
  if (!status) return status.error();
  if (used > room) return std::optional<Secret>();
  return std::optional(std::move(content));
}

}  // namespace

Result<SmallFile> read_small_file(const std::string& path, std::size_t limit) {
  // O_NONBLOCK: a forgotten named pipe must not hold a pool thread for ever.
  Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0) return system_error(errno);
  // Somebody may add to it while it is read: then once more, with more room. Some, those of /proc, have no
  // size.
  std::size_t room = 0;
  bool again = false;
  do {
    struct stat info {};
    if (fstat(file.get(), &info) != 0) return system_error(errno);
    if (S_ISDIR(info.st_mode)) return system_error(EISDIR);
    const bool regular = S_ISREG(info.st_mode);
    const std::size_t size = regular ? static_cast<std::size_t>(info.st_size) : kSpecialFileLimit;
    if (regular && size > limit) break;
    room = std::min(limit, again ? std::max({size, 2 * room, kSpecialFileLimit}) : size);
    Result<std::optional<Secret>> content = read_up_to(file.get(), room);
    if (!content) return content.error();
    if (*content) return SmallFile{*std::move(*content), info.st_uid, info.st_mode};
    again = regular && room < limit && lseek(file.get(), 0, SEEK_SET) == 0;
  } while (again);
  return Error{Errc::kLimit, fmt::format("larger than {} KiB", limit / 1024), ""};
}

}  // namespace jump
