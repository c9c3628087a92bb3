#include "support/proc_info.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "support/eventually.h"
#include "support/temp_dir.h"

namespace jump::test {

namespace {

constexpr Duration kSettled = milliseconds(300);

struct Stat {
  char state = 0;
  pid_t parent = 0;
};

// /proc/PID/stat is "PID (NAME) STATE PPID …", where NAME may hold anything, parentheses too.
Stat read_stat(const std::string& pid) {
  const std::string text = read_file("/proc/" + pid + "/stat");
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos || name_end + 4 >= text.size()) return {};
  return {text[name_end + 2], static_cast<pid_t>(std::stol(text.substr(name_end + 4)))};
}

}  // namespace

bool process_alive(pid_t pid) {
  const char state = read_stat(std::to_string(pid)).state;
  if (state != 'Z') return state != 0 && state != 'X';
  // Its first thread may be gone before the others, which still have its descriptors.
  std::error_code ignored;
  const std::filesystem::directory_iterator threads("/proc/" + std::to_string(pid) + "/task", ignored);
  return std::distance(begin(threads), end(threads)) > 1;
}

std::size_t resident_bytes(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6)) * 1024;
  }
  return 0;
}

std::size_t open_descriptors(pid_t pid) {
  std::error_code ignored;
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", ignored)) {
    ++count;
  }
  return count;
}

std::size_t settled_descriptors(pid_t pid) {
  std::size_t count = 0;
  eventually([&] {
    count = open_descriptors(pid);
    return always([&] { return open_descriptors(pid) == count; }, kSettled);
  });
  return count;
}

std::vector<pid_t> process_descendants(pid_t pid) {
  std::multimap<pid_t, pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    children.emplace(read_stat(name).parent, static_cast<pid_t>(std::stol(name)));
  }
  std::vector<pid_t> found{pid};
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto [first, last] = children.equal_range(found[i]);
    for (auto it = first; it != last; ++it) found.push_back(it->second);
  }
  found.erase(found.begin());
  return found;
}

}  // namespace jump::test
