#include "loop/port_holder.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"

namespace jump {
namespace {

// The loop waits for this: a few milliseconds on a usual machine, and never more than the budget. It counts
// our own processor time, so that a busy machine does not make the answer worse.
constexpr milliseconds kBudget{40};
// And not more often than this in a second: many failed binds must not keep it busy. The others go without
// the name.
constexpr int kMaxPerSecond = 5;
constexpr int kMaxTableLines = 20000;
constexpr std::string_view kListening = "0A";  // TCP_LISTEN in /proc/net/tcp

struct Sockets {
  std::set<std::string> links;  // "socket:[12345]", as /proc/PID/fd has it
  std::optional<unsigned> uid;
};

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};
using Dir = std::unique_ptr<DIR, CloseDir>;

class Budget {
 public:
  bool spent() const { return used() - began_ >= kBudget; }

 private:
  static Duration used() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  }
  Duration began_ = used();
};

// The kernel prints addresses as the 32-bit words that they are in memory.
std::string table_form(const SocketAddress& address) {
  if (address.family() == AF_INET) {
    return fmt::format("{:08X}", reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_addr.s_addr);
  }
  std::uint32_t words[4];
  std::memcpy(words, &reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_addr, sizeof(words));
  return fmt::format("{:08X}{:08X}{:08X}{:08X}", words[0], words[1], words[2], words[3]);
}

bool is_any(const std::string& host) { return host.find_first_not_of('0') == std::string::npos; }

void read_table(const char* path, const SocketAddress& address, const Budget& budget, Sockets* found) {
  std::ifstream table(path);
  std::string wanted_host = table_form(address);
  std::string wanted_port = fmt::format(":{:04X}", address.port());
  std::string line;
  std::getline(table, line);  // headings
  for (int i = 0; i < kMaxTableLines && std::getline(table, line) && !budget.spent(); ++i) {
    if (line.find(wanted_port) == std::string::npos) continue;  // most lines; parsing is what costs
    std::istringstream fields(line);
    std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
    fields >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> uid >> timeout >> inode;
    std::size_t colon = local.find(':');
    if (!fields || state != kListening || colon == std::string::npos) continue;
    std::string host = local.substr(0, colon);
    if (local.substr(colon) != wanted_port) continue;
    if (host != wanted_host && !is_any(host) && !is_any(wanted_host)) continue;
    found->links.insert("socket:[" + inode + "]");
    found->uid = static_cast<unsigned>(std::strtoul(uid.c_str(), nullptr, 10));
  }
}

bool holds_one_of(int process, const Sockets& sockets, const Budget& budget) {
  Fd fds(openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fds) return false;
  Dir dir(fdopendir(fds.get()));
  if (!dir) return false;
  int directory = fds.release();  // now dir's
  while (dirent* entry = readdir(dir.get())) {
    char link[64];
    ssize_t length = readlinkat(directory, entry->d_name, link, sizeof(link));
    if (length > 0 && sockets.links.count(std::string(link, static_cast<std::size_t>(length)))) return true;
    if (budget.spent()) return false;
  }
  return false;
}

// Who is in the way was mostly started a moment ago, by the user; the old ones are the system's.
std::vector<std::string> youngest_first(DIR* processes) {
  std::vector<std::string> pids;
  while (dirent* entry = processes ? readdir(processes) : nullptr) {
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') pids.emplace_back(entry->d_name);
  }
  std::sort(pids.begin(), pids.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a > b;
  });
  return pids;
}

std::string describe_process(int process, const char* pid) {
  Fd comm(openat(process, "comm", O_RDONLY | O_CLOEXEC));
  char name[32];
  ssize_t length = comm ? ::read(comm.get(), name, sizeof(name)) : 0;
  while (length > 0 && name[length - 1] == '\n') --length;
  if (length <= 0) return fmt::format("held by pid {}", pid);
  return fmt::format("held by {} (pid {})", std::string(name, static_cast<std::size_t>(length)), pid);
}

}  // namespace

std::string port_holder(const SocketAddress& address) {
  static TimePoint second = kLongAgo;
  static int asked = 0;
  if (Clock::now() - second >= seconds(1)) {
    second = Clock::now();
    asked = 0;
  }
  if (++asked > kMaxPerSecond) return {};
  Budget budget;
  Sockets sockets;
  // A socket of [::] may hold the IPv4 port as well, so both tables count.
  read_table("/proc/net/tcp", address, budget, &sockets);
  read_table("/proc/net/tcp6", address, budget, &sockets);
  if (sockets.links.empty()) return {};

  Fd self(open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (self && holds_one_of(self.get(), sockets, budget)) return "held by this process";
  Dir processes(opendir("/proc"));
  for (const std::string& pid : youngest_first(processes.get())) {
    if (budget.spent()) break;
    Fd process(openat(dirfd(processes.get()), pid.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat owner {};
    if (!process || fstat(process.get(), &owner) != 0 || owner.st_uid != geteuid()) continue;
    if (holds_one_of(process.get(), sockets, budget)) return describe_process(process.get(), pid.c_str());
  }
  if (sockets.uid && *sockets.uid != geteuid())
    return fmt::format("held by a process of user id {}", *sockets.uid);
  return {};
}

}  // namespace jump
