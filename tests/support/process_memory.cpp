#include "support/process_memory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string_view>

#include "support/unique_fd.h"

namespace jump::test {
namespace {

// Larger parts of a process than this hold a sanitizer's own notes, and nothing of the program's.
constexpr unsigned long kShadow = 1UL << 34;

}  // namespace

bool memory_has(pid_t pid, const std::string& text) {
  const std::string proc = "/proc/" + std::to_string(pid);
  std::ifstream maps(proc + "/maps");
  const UniqueFd memory(::open((proc + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  for (std::string line; std::getline(maps, line);) {
    unsigned long from = 0, to = 0;
    char mode[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &from, &to, mode) != 3 || mode[1] != 'w') continue;
    if (to - from > kShadow) continue;
    std::string bytes(to - from, '\0');
    const ssize_t count = ::pread(memory.get(), bytes.data(), bytes.size(), static_cast<off_t>(from));
    if (count > 0 &&
        std::string_view(bytes.data(), static_cast<std::size_t>(count)).find(text) != std::string::npos)
      return true;
  }
  return false;
}

}  // namespace jump::test
