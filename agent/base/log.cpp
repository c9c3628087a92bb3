#include "base/log.h"

#include <poll.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/log_file.h"

namespace jump::log {
namespace {

constexpr std::size_t kMaxLine = 8 * 1024;  // more is cut: one message must not fill a file
constexpr const char* kTimed = "%Y-%m-%d %H:%M:%S.%e %-5l %v";

struct LevelNames {
  std::string_view name;  // as users write it
  spdlog::level::level_enum level;
  int priority;  // syslog's
};
constexpr std::array<LevelNames, 6> kLevels = {{{"trace", spdlog::level::trace, 7},
                                                {"debug", spdlog::level::debug, 7},
                                                {"info", spdlog::level::info, 6},
                                                {"warn", spdlog::level::warn, 4},
                                                {"error", spdlog::level::err, 3},
                                                {"off", spdlog::level::off, 3}}};

const LevelNames& names_of(Level level) { return kLevels[static_cast<std::size_t>(level)]; }

// Whatever got into it, a line stays one line and cannot steer a terminal.
std::string harmless(std::string_view line) {
  std::string safe(line.substr(0, kMaxLine));
  for (char& c : safe) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return safe;
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

// Where lines end up: the file, or stderr; with priorities instead of times where that is the journal.
class Sink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  Sink(std::optional<LogFile> file, bool journal) : file_(std::move(file)), journal_(journal) {}

  // Lines that did not fit into the queue, so far: said in the place where they are missing.
  void watch(spdlog::details::thread_pool* queue) { queue_ = queue; }
  std::uint64_t file_lost() const { return file_lost_; }
  std::uint64_t written() const { return written_; }

 private:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    spdlog::memory_buf_t line;
    note_missing(line);
    if (journal_) {
      const auto* names = std::find_if(kLevels.begin(), kLevels.end(),
                                       [&](const LevelNames& each) { return each.level == msg.level; });
      fmt::format_to(std::back_inserter(line), "<{}>", names->priority);
      line.append(msg.payload.begin(), msg.payload.end());
      line.push_back('\n');
    } else {
      formatter_->format(msg, line);
    }
    const std::string_view text(line.data(), line.size());
    if (!file_ || !file_->write(text, Clock::now())) write_stderr(text);
    file_lost_ = file_ ? file_->lost() : 0;
    ++written_;
  }
  void flush_() override {}

  void note_missing(spdlog::memory_buf_t& line) {
    const std::uint64_t missing = queue_ ? queue_->overrun_counter() : 0;
    if (missing == said_) return;
    fmt::format_to(std::back_inserter(line), "({} lines are missing here: the log was stuck)\n",
                   missing - said_);
    said_ = missing;
  }

  std::optional<LogFile> file_;
  const bool journal_;
  spdlog::details::thread_pool* queue_ = nullptr;
  std::uint64_t said_ = 0;
  std::atomic<std::uint64_t> file_lost_ = 0;
  std::atomic<std::uint64_t> written_ = 0;
};

std::shared_ptr<spdlog::logger> configured(std::shared_ptr<spdlog::logger> logger, Level level) {
  logger->set_pattern(kTimed);
  logger->set_level(names_of(level).level);
  return logger;
}

// Leaked on purpose: lines may be written while static objects are being destroyed.
struct Log {
  std::shared_ptr<Sink> sink;
  std::shared_ptr<spdlog::details::thread_pool> queue;  // null before start()
  std::shared_ptr<spdlog::logger> logger;
};

Log& log() {
  static Log* instance = [] {
    auto* made = new Log;
    made->sink = std::make_shared<Sink>(std::nullopt, false);
    made->logger = configured(std::make_shared<spdlog::logger>("jumpagent", made->sink), Level::kInfo);
    return made;
  }();
  return *instance;
}

std::atomic<Level> g_level = Level::kInfo;

}  // namespace

void init(Level level) { set_level(level); }

void set_level(Level level) {
  g_level = level;
  log().logger->set_level(names_of(level).level);
}

bool enabled(Level level) { return level >= g_level && level != Level::kOff; }

void write(Level level, std::string_view line) { log().logger->log(names_of(level).level, harmless(line)); }

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
  }
  Log& started = log();
  started.sink = std::make_shared<Sink>(std::move(file), output.file.empty() && stderr_is_journal());
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are the loop's
  started.queue = std::make_shared<spdlog::details::thread_pool>(kMaxQueued, 1);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  started.sink->watch(started.queue.get());
  // Of too many lines the oldest go.
  started.logger =
      configured(std::make_shared<spdlog::async_logger>("jumpagent", started.sink, started.queue,
                                                        spdlog::async_overflow_policy::overrun_oldest),
                 g_level);
  return status;
}

void finish(Duration most) {
  const Log& ending = log();
  if (!ending.queue) return;
  const TimePoint deadline = Clock::now() + most;
  std::uint64_t before = 0;
  // Empty, and nothing was written for a moment: the last line is out, too.
  while (Clock::now() < deadline && (ending.queue->queue_size() > 0 || ending.sink->written() != before)) {
    before = ending.sink->written();
    std::this_thread::sleep_for(milliseconds(1));
  }
}

std::uint64_t lost() {
  const Log& from = log();
  return from.sink->file_lost() + (from.queue ? from.queue->overrun_counter() : 0);
}

}  // namespace jump::log
