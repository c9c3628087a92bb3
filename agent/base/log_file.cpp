#include "base/log_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace jump::log {
namespace {

bool is_file(int descriptor, dev_t device, ino_t inode) {
  struct stat there {};
  return fstat(descriptor, &there) == 0 && there.st_dev == device && there.st_ino == inode;
}

}  // namespace

LogFile::LogFile(std::string path, std::size_t most, int old_files)
    : path_(std::move(path)), most_(most), old_files_(old_files) {}

Status LogFile::open() {
  Fd fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600));
  struct stat info {};
  if (!fd || fstat(fd.get(), &info) != 0) {
    const Errc code = errno == ENOSPC || errno == EDQUOT ? Errc::kLimit : Errc::kRefused;
    return Error{code, fmt::format("cannot write the log {}: {}", path_, std::strerror(errno)),
                 "name another place: --log-file FILE"};
  }
  if (!S_ISREG(info.st_mode)) {
    return Error{Errc::kRefused, fmt::format("cannot write the log {}: it is not a file", path_),
                 "name another place: --log-file FILE"};
  }
  stdio_follows_ |= is_file(STDERR_FILENO, info.st_dev, info.st_ino);
  if (stdio_follows_) {
    dup2(fd.get(), STDOUT_FILENO);
    dup2(fd.get(), STDERR_FILENO);
  }
  fd_ = std::move(fd);
  device_ = info.st_dev;
  inode_ = info.st_ino;
  size_ = static_cast<std::size_t>(info.st_size);
  return {};
}

bool LogFile::write(std::string_view lines, TimePoint now) {
  look(now);
  while (fd_ && !lines.empty()) {
    const std::string_view part = what_fits(lines);
    if (size_ > 0 && size_ + part.size() > most_) rotate();
    if (!fd_) break;
    write_part(part);
    lines.remove_prefix(part.size());
  }
  return lines.empty();
}

// As many lines as the file has room for; one in any case.
std::string_view LogFile::what_fits(std::string_view lines) const {
  const std::size_t room = most_ > size_ ? most_ - size_ : 0;
  if (lines.size() <= room) return lines;
  const std::size_t end = room > 0 ? lines.rfind('\n', room - 1) : std::string_view::npos;
  return lines.substr(0, (end == std::string_view::npos ? lines.find('\n') : end) + 1);
}

void LogFile::write_part(std::string_view lines) {
  const bool said = lost_unsaid_ == 0 || append(fmt::format("({} lines are missing here: {})\n", lost_unsaid_,
                                                            std::strerror(lost_code_)));
  if (said) lost_unsaid_ = 0;
  if (said && append(lines)) return;
  lost_code_ = errno;
  const auto count = static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
  lost_ += count;
  lost_unsaid_ += count;
}

// Somebody else may rotate or remove it as well.
void LogFile::look(TimePoint now) {
  if (now - looked_ < kLookGap) return;
  looked_ = now;
  struct stat there {};
  const bool same =
      fd_ && stat(path_.c_str(), &there) == 0 && there.st_dev == device_ && there.st_ino == inode_;
  if (!same && !open()) fd_.reset();  // one that was removed is of no use to anybody
}

void LogFile::rotate() {
  for (int i = old_files_; i > 0; --i) {
    const std::string older = fmt::format("{}.{}", path_, i);
    const std::string younger = i == 1 ? path_ : fmt::format("{}.{}", path_, i - 1);
    std::rename(younger.c_str(), older.c_str());
  }
  // Where it could not be moved away, the bound holds all the same.
  if (!open() || size_ > most_ / 2) {
    if (fd_ && ftruncate(fd_.get(), 0) == 0) size_ = 0;
  }
}

// False, with errno: nothing of it is there.
bool LogFile::append(std::string_view bytes) {
  const std::size_t begin = size_;
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const int code = count == 0 ? ENOSPC : errno;
      if (size_ > begin && ftruncate(fd_.get(), static_cast<off_t>(begin)) == 0) size_ = begin;
      errno = code;
      return false;
    }
    size_ += static_cast<std::size_t>(count);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace jump::log
