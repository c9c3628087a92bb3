// The log, as the code sees it: one line per event, to stderr, to the journal behind it, or to a file that is
// rotated. Nothing secret is ever passed in: not key material, not passphrases, not what a user typed.
//
//   any thread: info("f1: …") ─► a line ─► queue, bounded ─► the log's own thread ─► stderr or LogFile
//
// Invariant: once started, nobody waits for the log: what does not fit into the queue, because the disk or
// whoever reads stderr is stuck, is lost and counted.
#pragma once

#include <fmt/core.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace jump::log {

enum class Level { kTrace, kDebug, kInfo, kWarn, kError, kOff };

// Lines that wait for a stuck disk: minutes of a busy agent; a megabyte of memory.
inline constexpr std::size_t kMaxQueued = 2048;
// Of one file; with the old ones, what a log may take of somebody's home.
inline constexpr std::size_t kFileSize = 4 << 20;
inline constexpr int kOldFiles = 3;  // FILE.1 is the youngest

struct Output {
  std::string file{};  // empty: stderr; with priorities instead of times where that is the journal
  std::size_t file_size = kFileSize;
};

// Before start() lines go to stderr at level info, at once.
void init(Level level);
void set_level(Level level);
bool enabled(Level level);
void write(Level level, std::string_view line);
// "trace", "debug", …; false when the name is none of them.
bool parse_level(std::string_view name, Level* out);

// Once per process. Errors: those of LogFile::open(); then lines go to stderr, and it is tried again.
Status start(const Output& output);
// Waits for what is queued, this long at the most.
void finish(Duration most);
// Lines that are in no log.
std::uint64_t lost();

template <class... Args>
void trace(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kTrace)) write(Level::kTrace, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kDebug)) write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kInfo)) write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kWarn)) write(Level::kWarn, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kError)) write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace jump::log
