#include "socket_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace jump {
namespace {

Error refused(const std::string& directory, const std::string& why, std::string hint) {
  return Error{Errc::kRefused, "cannot use " + directory + " for the control socket: " + why,
               std::move(hint)};
}

Status make_directories(const std::string& directory) {
  for (std::size_t slash = directory.find('/', 1);; slash = directory.find('/', slash + 1)) {
    std::string part = directory.substr(0, slash);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return refused(directory, "mkdir " + part + ": " + std::strerror(errno),
                     "name another place: --socket PATH");
    }
    if (slash == std::string::npos) return {};
  }
}

// Who can write to the directory above could move ours away and put another one there.
Status check_above(const std::string& directory) {
  const auto slash = directory.rfind('/');
  const std::string above = slash == std::string::npos ? "." : slash == 0 ? "/" : directory.substr(0, slash);
  struct stat info;
  if (stat(above.c_str(), &info) != 0) return refused(directory, above + ": " + std::strerror(errno), {});
  if (info.st_uid != geteuid() && info.st_uid != 0)
    return refused(directory, above + " belongs to uid " + std::to_string(info.st_uid),
                   "name another place: --socket PATH");
  if ((info.st_mode & S_IWOTH) && !(info.st_mode & S_ISVTX))
    return refused(directory, "everybody can write to " + above, "run: chmod o-w " + above);
  return {};
}

}  // namespace

Status prepare_socket_directory(const std::string& socket_path) {
  auto slash = socket_path.rfind('/');
  std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : socket_path.substr(0, slash);
  struct stat info;
  if (lstat(directory.c_str(), &info) != 0) {
    if (errno != ENOENT) return refused(directory, std::strerror(errno), "name another place: --socket PATH");
    if (Status made = make_directories(directory); !made) return made;
    if (lstat(directory.c_str(), &info) != 0) return refused(directory, std::strerror(errno), {});
  }
  bool private_name = directory.ends_with("/jumpagent");
  if (S_ISLNK(info.st_mode) && !private_name && stat(directory.c_str(), &info) != 0) {
    return refused(directory, std::strerror(errno), {});
  }
  if (!S_ISDIR(info.st_mode)) return refused(directory, "it is not a directory", "move it away");
  if (info.st_uid != geteuid() && (info.st_uid != 0 || private_name)) {
    return refused(directory, "it belongs to uid " + std::to_string(info.st_uid),
                   "name another place: --socket PATH");
  }
  mode_t open_to_others = private_name ? 0077 : 0022;
  bool sticky = !private_name && (info.st_mode & S_ISVTX);
  if ((info.st_mode & open_to_others) && !sticky) {
    return refused(directory, "others have access to it", "run: chmod 700 " + directory);
  }
  return private_name ? check_above(directory) : Status{};
}

}  // namespace jump
