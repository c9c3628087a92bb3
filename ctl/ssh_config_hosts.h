// The host names that ssh_config files have in their Host lines, for completion: no patterns, no negations,
// files that are included as well. Quick whatever it finds: only regular files are read, and bounds end it.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace jump::ctl {

// What one file says.
struct SshConfigNames {
  std::vector<std::string> hosts;
  std::vector<std::string>
      includes;  // as written: may be relative, begin with '~', and be patterns of glob(3)
};
// Pure. Lines that make no sense are passed over.
SshConfigNames read_ssh_config_names(std::string_view text);

class SshConfigHosts {
 public:
  static constexpr int kMaxDepth = 16;                  // of Include, as in ssh
  static constexpr std::size_t kMaxFiles = 200;         // read in all
  static constexpr std::size_t kMaxFileSize = 1 << 20;  // bytes; what follows is not looked at
  static constexpr std::size_t kMaxHosts = 10'000;

  // `home`: where '~' is. `directory`: where relative paths of Include begin.
  void read(const std::string& file, const std::string& home, const std::string& directory);
  const std::set<std::string>& hosts() const { return hosts_; }

 private:
  void read(const std::string& file, const std::string& home, const std::string& directory, int depth);

  std::set<std::string> hosts_;
  std::set<std::string> files_;  // that were read
};

}  // namespace jump::ctl
