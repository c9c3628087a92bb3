#include "base/log.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/log_file.h"

namespace jump::log {
namespace {

constexpr std::size_t kMaxLine = 8 * 1024;  // more is cut: one message must not fill a file

struct LevelNames {
  std::string_view name;   // as users write it
  std::string_view label;  // as it is in a line
  int priority;            // syslog's
};
constexpr std::array<LevelNames, 6> kLevels = {{{"trace", "trace", 7},
                                                {"debug", "debug", 7},
                                                {"info", "info ", 6},
                                                {"warn", "warn ", 4},
                                                {"error", "error", 3},
                                                {"off", "off  ", 3}}};

const LevelNames& names_of(Level level) { return kLevels[static_cast<std::size_t>(level)]; }

// Whatever got into it, a line stays one line and cannot steer a terminal.
std::string harmless(std::string_view line) {
  std::string safe(line.substr(0, kMaxLine));
  for (char& c : safe) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return safe;
}

std::string timed_line(Level level, std::string_view line) {
  timeval now{};
  gettimeofday(&now, nullptr);
  std::tm local{};
  localtime_r(&now.tv_sec, &local);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03} {} {}\n", local.tm_year + 1900,
                     local.tm_mon + 1, local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec,
                     now.tv_usec / 1000, names_of(level).label, harmless(line));
}

// As sd-daemon(3) has it: the journal has times of its own.
std::string journal_line(Level level, std::string_view line) {
  return fmt::format("<{}>{}\n", names_of(level).priority, harmless(line));
}

// systemd says which socket the journal is; stderr may have been redirected since.
bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  unsigned long long device = 0, inode = 0;
  if (!stream || std::sscanf(stream, "%llu:%llu", &device, &inode) != 2) return false;
  struct stat info {};
  return fstat(STDERR_FILENO, &info) == 0 && info.st_dev == device && info.st_ino == inode;
}

void write_stderr(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(STDERR_FILENO, bytes.data(), bytes.size());
    if (count >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      pollfd room{STDERR_FILENO, POLLOUT, 0};
      poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return;  // nobody reads it
    }
  }
}

class Writer {
 public:
  explicit Writer(std::optional<LogFile> file) : file_(std::move(file)) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are the loop's
    std::thread([this] { run(); }).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void push(std::string line) {
    {
      std::lock_guard lock(mutex_);
      if (queued_.size() + line.size() > kMaxQueued) {
        ++overflow_;
        return;
      }
      queued_ += line;
    }
    changed_.notify_all();
  }

  void finish(Duration most) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, most, [this] { return queued_.empty() && !writing_; });
  }

  std::uint64_t lost() {
    std::lock_guard lock(mutex_);
    return overflow_ + file_lost_;
  }

 private:
  [[noreturn]] void run() {
    std::uint64_t said = 0;
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !queued_.empty(); });
      std::string lines = std::exchange(queued_, {});
      if (overflow_ > said) {
        lines += fmt::format("({} lines are missing here: the log was stuck)\n", overflow_ - said);
        said = overflow_;
      }
      writing_ = true;
      lock.unlock();
      if (!file_ || !file_->write(lines, Clock::now())) write_stderr(lines);
      lock.lock();
      writing_ = false;
      file_lost_ = file_ ? file_->lost() : 0;
      lock.unlock();
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string queued_;  // whole lines
  std::uint64_t overflow_ = 0;
  std::uint64_t file_lost_ = 0;
  bool writing_ = false;
  std::optional<LogFile> file_;  // of the thread
};

std::atomic<Level> g_level = Level::kInfo;
std::atomic<bool> g_journal = false;
// Leaked on purpose: lines may be written while static objects are being destroyed.
std::atomic<Writer*> g_writer = nullptr;

}  // namespace

void init(Level level) { set_level(level); }

void set_level(Level level) { g_level = level; }

bool enabled(Level level) { return level >= g_level && level != Level::kOff; }

void write(Level level, std::string_view line) {
  std::string text = g_journal ? journal_line(level, line) : timed_line(level, line);
  if (Writer* writer = g_writer) return writer->push(std::move(text));
  write_stderr(text);
}

bool parse_level(std::string_view name, Level* out) {
  const auto* found = std::find_if(kLevels.begin(), kLevels.end(),
                                   [name](const LevelNames& each) { return each.name == name; });
  if (found == kLevels.end()) return false;
  *out = static_cast<Level>(found - kLevels.begin());
  return true;
}

Status start(const Output& output) {
  Status status;
  std::optional<LogFile> file;
  if (!output.file.empty()) {
    file.emplace(output.file, output.file_size, kOldFiles);
    status = file->open();
  } else {
    g_journal = stderr_is_journal();
  }
  g_writer = new Writer(std::move(file));
  return status;
}

void finish(Duration most) {
  if (Writer* writer = g_writer) writer->finish(most);
}

std::uint64_t lost() {
  Writer* writer = g_writer;
  return writer ? writer->lost() : 0;
}

}  // namespace jump::log
