#include "base/safe_directory.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/shell_quoted.h"

namespace jump {
namespace {

constexpr int kMaxLinks = 40;  // as Linux follows

bool is_ours(const struct stat& there) { return there.st_uid == geteuid() || there.st_uid == 0; }

Status check_one(const std::string& path, const struct stat& there) {
  if (!is_ours(there))
    return Error{
        Errc::kRefused, path + " is another user's, who could put something of theirs in its place", {}};
  if (S_ISLNK(there.st_mode)) return {};
  if (!S_ISDIR(there.st_mode)) return Error{Errc::kInvalid, path + " is no directory", {}};
  if ((there.st_mode & 022) == 0 || (there.st_mode & S_ISVTX) != 0) return {};
  return Error{Errc::kRefused, path + " can be written to by others, who could put something of theirs there",
               "chmod go-w " + shell_quoted(path)};
}

Error failed(const std::string& path) {
  return Error{Errc::kInvalid, path + ": " + std::strerror(errno), {}};
}

}  // namespace

// The links are followed here and not by realpath(), as the directories that they are in matter, too.
Status check_safe_directory(const std::string& directory) {
  if (!directory.starts_with('/')) return Error{Errc::kInvalid, directory + " is no absolute path", {}};
  std::string at, left = directory;  // `at` is without links, and checked; empty: /
  struct stat there {};
  if (::lstat("/", &there) != 0) return failed("/");
  if (Status root = check_one("/", there); !root) return root;
  for (int links = 0; !left.empty();) {
    const std::size_t slash = left.find('/');
    const std::string name = left.substr(0, slash);
    left.erase(0, slash == std::string::npos ? slash : slash + 1);
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      at.erase(at.empty() ? 0 : at.rfind('/'));
      continue;
    }
    const std::string next = at + "/" + name;
    if (::lstat(next.c_str(), &there) != 0) return failed(next);
    if (Status one = check_one(next, there); !one) return one;
    if (!S_ISLNK(there.st_mode)) {
      at = next;
      continue;
    }
    if (++links > kMaxLinks) return Error{Errc::kInvalid, directory + ": " + std::strerror(ELOOP), {}};
    std::array<char, PATH_MAX> target;
    const ssize_t size = ::readlink(next.c_str(), target.data(), target.size());
    if (size < 0) return failed(next);
    left = std::string(target.data(), static_cast<std::size_t>(size)) + "/" + left;
    if (left.starts_with('/')) at.clear();
  }
  return {};
}

}  // namespace jump
