#include "ctl/rewritten_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "base/fd.h"

namespace jump::ctl {
namespace {

Error failed(const std::string& path, std::string_view what) {
  return Error{errno == EACCES || errno == EPERM ? Errc::kRefused : Errc::kInvalid,
               fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)),
               {}};
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The file that a chain of symlinks leads to; `path` itself where nothing is there yet.
Result<std::string> real_file(const std::string& path) {
  char resolved[PATH_MAX];
  if (::realpath(path.c_str(), resolved) != nullptr) return std::string(resolved);
  if (errno != ENOENT) return failed(path, "find");
  struct stat info = {};
  if (::lstat(path.c_str(), &info) == 0)
    return Error{Errc::kInvalid, path + " is a symlink that leads nowhere", "make its target, or remove it"};
  return path;
}

struct Contents {
  std::string text;
  std::optional<struct stat> info;  // none: there is no file
};

Result<Contents> read_contents(const std::string& path) {
  Contents contents;
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) {
    if (errno == ENOENT) return contents;
    return failed(path, "read");
  }
  struct stat info = {};
  if (::fstat(file.get(), &info) != 0) return failed(path, "read");
  if (!S_ISREG(info.st_mode)) return Error{Errc::kInvalid, path + " is not a regular file", {}};
  if (info.st_size > static_cast<off_t>(kMaxRewritten))
    return Error{Errc::kInvalid, fmt::format("{} is larger than {} bytes", path, kMaxRewritten), {}};
  contents.info = info;
  char buffer[16 * 1024];
  while (true) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(path, "read");
    if (got == 0) return contents;
    contents.text.append(buffer, static_cast<std::size_t>(got));
  }
}

bool is_unchanged(const std::string& path, const std::optional<struct stat>& before) {
  struct stat now = {};
  if (::stat(path.c_str(), &now) != 0) return !before && errno == ENOENT;
  return before && now.st_ino == before->st_ino && now.st_dev == before->st_dev &&
         now.st_size == before->st_size && now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == before->st_mtim.tv_nsec;
}

bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// A file beside the one that it is to become. Removed when it has not.
class Draft {
 public:
  explicit Draft(const std::string& target) : name_(target + ".jumpctl-XXXXXX") {
    file_ = Fd(::mkostemp(name_.data(), O_CLOEXEC));
  }
  ~Draft() {
    if (file_.get() >= 0 && !done_) ::unlink(name_.c_str());
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  Status write(std::string_view text, const std::optional<struct stat>& like) {
    if (file_.get() < 0) return failed(name_, "make");
    if (like && (like->st_uid != ::geteuid() || like->st_gid != ::getegid()) &&
        ::fchown(file_.get(), like->st_uid, like->st_gid) != 0)
      return failed(name_, "keep the owner of");
    if (like && ::fchmod(file_.get(), like->st_mode & 07777) != 0) return failed(name_, "keep the mode of");
    if (!write_all(file_.get(), text) || ::fsync(file_.get()) != 0) return failed(name_, "write");
    return {};
  }
  Status become(const std::string& target) {
    if (::rename(name_.c_str(), target.c_str()) != 0) return failed(target, "replace");
    done_ = true;
    const Fd directory(::open(directory_of(target).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory.get() >= 0) ::fsync(directory.get());
    return {};
  }

 private:
  std::string name_;
  Fd file_;
  bool done_ = false;
};

}  // namespace

Result<bool> rewrite_file(const std::string& path, const Rewrite& change) {
  const Result<std::string> file = real_file(path);
  if (!file.ok()) return file.error();
  const Result<Contents> before = read_contents(*file);
  if (!before.ok()) return before.error();
  const Result<std::string> text = change(before->text);
  if (!text.ok()) return text.error().context(path);
  if (*text == before->text) return false;
  const std::string directory = directory_of(*file);
  if (!before->info && ::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return failed(directory, "make");
  Draft draft(*file);
  if (Status written = draft.write(*text, before->info); !written.ok()) return written.error();
  if (!is_unchanged(*file, before->info))
    return Error{Errc::kInUse, *file + " was changed by somebody else meanwhile", "try again"};
  if (Status done = draft.become(*file); !done.ok()) return done.error();
  return true;
}

}  // namespace jump::ctl
