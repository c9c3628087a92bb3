// The log, as the code sees it: one line per event, to stderr or to the file that `jumpagent up` names.
// spdlog does the work and is included by log.cpp alone; here only fmt's small core is needed.
// Nothing secret is ever passed in: not key material, not passphrases, not what a user typed.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>

namespace jump::log {

enum class Level { kTrace, kDebug, kInfo, kWarn, kError, kOff };

// Before init() lines go to stderr at level info.
void init(Level level);
void set_level(Level level);
bool enabled(Level level);
void write(Level level, std::string_view line);
// "trace", "debug", …; false when the name is none of them.
bool parse_level(std::string_view name, Level* out);

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
