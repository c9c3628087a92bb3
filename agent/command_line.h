// CommandLine: what `jumpagent VERB [options]` says, and what follows from it: which files, and what an agent
// that it starts has to be told.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config_file.h"
#include "ctl/verb.h"

namespace jump {

struct CommandLine {
  std::string verb;
  ctl::Options client;  // --socket, --json
  std::string ssh_config;
  std::optional<std::string> config;
  std::optional<std::string> log_level;
  std::optional<std::string> state;
  std::optional<double> open_timeout;
  std::optional<double> drain;
  std::string log_file;
  std::optional<std::size_t> log_size;
  bool lanes = true;
  bool now = false;
  bool replace = false;
  bool take_over = false;  // from the agent that runs: `up` starts it so
  bool help = false, version = false;
};

// jumpagent --help
extern const char* const kUsage;

// kInvalid, with the way to the help.
Error usage_error(std::string message);

// Errors: usage_error().
Result<CommandLine> parse_command_line(int argc, char** argv);

// What `line` leaves open is as `options`, of the agent that runs, have it.
CommandLine with_options_of(const CommandLine& line, const std::vector<std::string>& options);

// The file that -F names, from the root on; empty: none was named. Errors: kNotFound.
Result<std::string> ssh_config_of(const CommandLine& line);
// The config file, by what the command line says of it and instead of it. That log_level and open_timeout are
// good was seen to before.
ConfigFile config_file_of(const CommandLine& line);
// Where persistent forwards are kept. Empty: nowhere.
std::string state_file_of(const CommandLine& line);
// What `run` needs to be the agent that this line asks for, but for its socket. `ssh_config`: ssh_config_of()
// it.
std::vector<std::string> run_options(const CommandLine& line, const std::string& ssh_config);

std::string absolute_path(const std::string& file);
// Errors: a summary of the file's.
Result<AgentConfig> read_config(const ConfigFile& file);

}  // namespace jump
