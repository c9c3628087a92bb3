#include "config/config_file.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "auth/small_file.h"
#include "base/shell_quoted.h"

namespace jump {
namespace {

constexpr const char* kName = "/jumpagent/config.toml";

std::string home() {
  const char* named = std::getenv("HOME");
  if (named && *named == '/') return named;
  const passwd* entry = getpwuid(getuid());
  return entry && entry->pw_dir ? entry->pw_dir : "";
}

// Whoever can write it decides where the user's connections lead.
std::optional<ConfigError> check_owner(const SmallFile& file, const std::string& path) {
  if (!S_ISREG(file.mode)) return std::nullopt;
  if (file.owner != getuid() && file.owner != 0) {
    return ConfigError{
        {}, "it belongs to another user", "make it yours, or name another with -c", Errc::kRefused};
  }
  if ((file.mode & (S_IWGRP | S_IWOTH)) == 0) return std::nullopt;
  return ConfigError{{}, "others may write to it", "run: chmod go-w " + shell_quoted(path), Errc::kRefused};
}

}  // namespace

std::string ConfigFile::default_path() {
  const char* xdg = std::getenv("XDG_CONFIG_HOME");
  if (xdg && *xdg == '/') return xdg + std::string(kName);
  const std::string base = home();
  return base.empty() ? base : base + "/.config" + kName;
}

std::variant<AgentConfig, ConfigErrors> ConfigFile::read() const {
  AgentConfig config;
  auto file =
      path.empty() ? Result<SmallFile>(Error{Errc::kNotFound, {}, {}}) : read_small_file(path, kMaxSize);
  if (file) {
    if (!S_ISREG(file->mode) && !S_ISCHR(file->mode)) {  // /dev/null is an empty one
      return ConfigErrors{{{}, "it is not a regular file", "name a file with -c", Errc::kInvalid}};
    }
    if (auto error = check_owner(*file, path)) return ConfigErrors{*std::move(error)};
    auto parsed = AgentConfig::parse(file->content.text(), path);
    if (std::holds_alternative<ConfigErrors>(parsed)) return parsed;
    config = std::get<AgentConfig>(std::move(parsed));
  } else if (required || file.error().code != Errc::kNotFound) {
    return ConfigErrors{{{}, file.error().message, {}, file.error().code}};
  }
  if (log_level) config.log_level = *log_level;
  if (open_timeout) config.forward_limits.open_timeout = *open_timeout;
  if (drain) config.drain = *drain;
  if (no_lanes) config.lanes = false;
  return config;
}

}  // namespace jump
