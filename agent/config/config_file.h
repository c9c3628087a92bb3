// ConfigFile: where the settings come from: the file, and what the command line says instead of it. A value,
// so that it can be read on a pool thread while the loop goes on.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "base/clock.h"
#include "base/log.h"
#include "config/agent_config.h"

namespace jump {

struct ConfigFile {
  // A file of forwards, one by one, for a whole company is smaller.
  static constexpr std::size_t kMaxSize = 256 * 1024;

  std::string path;       // absolute; empty: there is none
  bool required = false;  // it was named: that it is missing is an error then
  // What the command line says wins over the file.
  std::optional<log::Level> log_level{};
  std::optional<Duration> open_timeout{};
  bool no_lanes = false;
  std::optional<Duration> drain{};

  // $XDG_CONFIG_HOME/jumpagent/config.toml, else ~/.config/jumpagent/config.toml. Empty when there is no
  // home.
  static std::string default_path();

  // Blocks. A file that others could write to is refused, as ssh refuses its own then.
  std::variant<AgentConfig, ConfigErrors> read() const;
};

}  // namespace jump
