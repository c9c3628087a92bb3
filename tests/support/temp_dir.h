// A private directory (mode 0700) that is gone, with all it holds, when its owner is.
// The path is short, as Unix sockets inside it have 108 bytes for theirs.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace jump::test {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  // Writes (or overwrites) a file below and returns its path.
  std::string write(std::string_view name, std::string_view text, mode_t mode = 0600) const;
  // Makes a directory below, mode 0700 whatever the umask, and returns its path.
  std::string make_dir(std::string_view name) const;

 private:
  std::string path_;
};

// The whole file; empty when there is none.
std::string read_file(const std::string& path);

}  // namespace jump::test
