// UnixPath: the path of a Unix socket, split into a directory that is held open and a name in it. Names are
// looked up relative to that directory, so a renamed directory does not redirect us, and a path that is
// longer than the kernel's sun_path is reached through /proc/self/fd.
#pragma once

#include <sys/un.h>

#include <cstddef>
#include <string>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace jump {

class UnixPath {
 public:
  static constexpr std::size_t kSunPathMax = sizeof(sockaddr_un::sun_path) - 1;

  // Fails when the directory cannot be opened.
  static Result<UnixPath> open(const std::string& path);

  const std::string& text() const { return path_; }
  const std::string& name() const { return name_; }
  int directory() const { return directory_.get(); }

  // A path to `sibling` (a name in the same directory) that fits sun_path. Good while this object lives.
  Result<std::string> reach(const std::string& sibling) const;
  Result<sockaddr_un> address(const std::string& sibling) const;

 private:
  UnixPath(std::string path, std::string prefix, std::string name, Fd directory)
      : path_(std::move(path)),
        prefix_(std::move(prefix)),
        name_(std::move(name)),
        directory_(std::move(directory)) {}

  std::string path_;
  std::string prefix_;  // up to and with the last slash
  std::string name_;
  Fd directory_;  // O_PATH
};

}  // namespace jump
