#include "process_facts.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "base/fd.h"

namespace jump {

// FNV-1a: nobody forges it, as whoever runs a program as us needs no trick.
std::string program_build() {
  Fd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  std::uint64_t hash = 0xcbf29ce484222325;
  std::uint64_t size = 0;
  std::vector<unsigned char> buffer(1 << 16);
  for (;;) {
    const ssize_t count = file ? read(file.get(), buffer.data(), buffer.size()) : -1;
    if (count < 0 && file && errno == EINTR) continue;
    if (count < 0) return {};
    if (count == 0) return fmt::format("{:016x}-{:x}", hash, size);
    for (ssize_t i = 0; i < count; ++i) hash = (hash ^ buffer[static_cast<std::size_t>(i)]) * 0x100000001b3;
    size += static_cast<std::uint64_t>(count);
  }
}

std::uint64_t resident_memory() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (!file) return 0;
  unsigned long long total = 0, resident = 0;
  int read = std::fscanf(file, "%llu %llu", &total, &resident);
  std::fclose(file);
  return read == 2 ? resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

// poll() marks what is not open: one system call, where /proc/self/fd would be a directory to be read.
std::uint64_t open_descriptors() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  auto highest = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 65536));
  std::vector<pollfd> all(static_cast<std::size_t>(highest));
  for (int fd = 0; fd < highest; ++fd) all[static_cast<std::size_t>(fd)] = pollfd{fd, 0, 0};
  if (poll(all.data(), all.size(), 0) < 0) return 0;
  return static_cast<std::uint64_t>(
      std::count_if(all.begin(), all.end(), [](const pollfd& each) { return !(each.revents & POLLNVAL); }));
}

std::uint64_t descriptor_limit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

}  // namespace jump
