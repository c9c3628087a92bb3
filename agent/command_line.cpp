#include "command_line.h"

#include <fmt/core.h>

#include <filesystem>
#include <utility>
#include <variant>

#define CXXOPTS_NO_REGEX true          // <regex> is large and slow to start
#define CXXOPTS_VECTOR_DELIMITER '\0'  // an argument with a comma is one argument
#include <cxxopts.hpp>

#include "base/log.h"
#include "launch.h"

namespace jump {

const char* const kUsage =
    "usage: jumpagent VERB [options]\n"
    "\n"
    "  up       start the agent in the background; returns when it answers. One that runs\n"
    "           another build of the program is replaced, without refusing connections\n"
    "  run      be the agent, in the foreground\n"
    "  down     end the agent that runs, its forwards and connections\n"
    "  reload   have it read its config file again\n"
    "  status   what the agent does: hosts, forwards\n"
    "  check-config   is the config file good?\n"
    "\n"
    "  -c FILE             the agent's own config file; default:\n"
    "                      ~/.config/jumpagent/config.toml ($XDG_CONFIG_HOME), if it is\n"
    "                      there; none: no file (up, run, check-config)\n"
    "  -F FILE             read this ssh_config instead of ~/.ssh/config (up, run)\n"
    "  --socket PATH       the control socket; default: $JUMPAGENT_SOCK, else\n"
    "                      $XDG_RUNTIME_DIR/jumpagent/control.sock\n"
    "  --log-level LEVEL   trace, debug, info, warn, error or off; default info (up, run)\n"
    "  --open-timeout S    how long a target may take to answer a new connection;\n"
    "                      default 20 seconds (up, run)\n"
    "  --no-lanes          never a second connection to a host, which otherwise keeps new\n"
    "                      channels from queueing behind bulk (up, run)\n"
    "  --state FILE        where persistent forwards are kept; default:\n"
    "                      ~/.local/state/jumpagent/forwards ($XDG_STATE_HOME); none:\n"
    "                      nowhere (up, run)\n"
    "  --drain S           how long connections that still move bytes may go on when the\n"
    "                      agent ends; default 5 seconds (up, run, down)\n"
    "  --now               do not wait for connections (down)\n"
    "  --replace           take the place of the agent that runs in any case (up)\n"
    "  --log-file FILE     where the log goes, up to 4 MiB and three older ones of that size;\n"
    "                      default: stderr (run), see below (up)\n"
    "  --json              one JSON document on stdout (up, down, reload, status)\n"
    "  --help, --version\n"
    "\n"
    "The agent that `up` starts logs to ~/.local/state/jumpagent/agent.log\n"
    "($XDG_STATE_HOME). Exit status: 0 done, 1 failed, 2 usage, 3 no agent is running.\n";

Error usage_error(std::string message) {
  return Error{Errc::kInvalid, std::move(message), "try 'jumpagent --help'"};
}

Result<CommandLine> parse_command_line(int argc, char** argv) {
  try {
    cxxopts::Options known("jumpagent");
    known.add_options()("c,config", "", cxxopts::value<std::string>())(
        "F", "", cxxopts::value<std::string>())("socket", "", cxxopts::value<std::string>())(
        "log-level", "", cxxopts::value<std::string>())("state", "", cxxopts::value<std::string>())(
        "open-timeout", "", cxxopts::value<double>())("drain", "", cxxopts::value<double>())(
        "log-file", "", cxxopts::value<std::string>())("log-size", "", cxxopts::value<std::size_t>())(
        "now", "")("replace", "")("take-over", "")("no-lanes", "")("json", "")("h,help", "")("version", "")(
        "words", "", cxxopts::value<std::vector<std::string>>());
    known.parse_positional({"words"});
    cxxopts::ParseResult parsed = known.parse(argc, argv);
    CommandLine line;
    line.client.program = "jumpagent";
    line.help = parsed.count("help") > 0;
    line.version = parsed.count("version") > 0;
    line.client.json = parsed.count("json") > 0;
    if (parsed.count("socket")) line.client.socket = parsed["socket"].as<std::string>();
    if (parsed.count("F")) line.ssh_config = parsed["F"].as<std::string>();
    if (parsed.count("state")) line.state = parsed["state"].as<std::string>();
    if (parsed.count("config")) line.config = parsed["config"].as<std::string>();
    if (parsed.count("log-level")) line.log_level = parsed["log-level"].as<std::string>();
    if (parsed.count("open-timeout")) line.open_timeout = parsed["open-timeout"].as<double>();
    if (parsed.count("drain")) line.drain = parsed["drain"].as<double>();
    if (parsed.count("log-file")) line.log_file = parsed["log-file"].as<std::string>();
    if (parsed.count("log-size")) line.log_size = parsed["log-size"].as<std::size_t>();
    line.now = parsed.count("now") > 0;
    line.replace = parsed.count("replace") > 0;
    line.take_over = parsed.count("take-over") > 0;
    line.lanes = parsed.count("no-lanes") == 0;
    if (parsed.count("words")) {
      const auto& words = parsed["words"].as<std::vector<std::string>>();
      line.verb = words.front();
      if (words.size() > 1) return usage_error(line.verb + " takes no argument: '" + words[1] + "'");
    }
    return line;
  } catch (const cxxopts::exceptions::exception& e) {
    return usage_error(e.what());
  }
}

CommandLine with_options_of(const CommandLine& line, const std::vector<std::string>& options) {
  std::vector<std::string> words{"jumpagent", "run"};
  words.insert(words.end(), options.begin(), options.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  Result<CommandLine> other = parse_command_line(static_cast<int>(argv.size()), argv.data());
  if (!other) return line;  // a later version's
  CommandLine merged = line;
  if (line.ssh_config.empty()) merged.ssh_config = other->ssh_config;
  if (!line.config) merged.config = other->config;
  if (!line.log_level) merged.log_level = other->log_level;
  if (!line.open_timeout) merged.open_timeout = other->open_timeout;
  if (!line.drain) merged.drain = other->drain;
  if (!line.state) merged.state = other->state;
  if (line.log_file.empty()) merged.log_file = other->log_file;
  if (!line.log_size) merged.log_size = other->log_size;
  merged.lanes = line.lanes && other->lanes;
  return merged;
}

Result<std::string> ssh_config_of(const CommandLine& line) {
  const std::string& file = line.ssh_config;
  if (file.empty()) return file;
  if (file == "none") return std::string("/dev/null");  // as ssh -F has it
  std::error_code failed;
  std::string path = std::filesystem::absolute(file, failed).string();
  if (failed || !std::filesystem::exists(path, failed) || std::filesystem::is_directory(path, failed)) {
    return Error{Errc::kNotFound, "there is no ssh_config file " + file,
                 "name an existing one with -F, or leave -F out"};
  }
  return path;
}

ConfigFile config_file_of(const CommandLine& line) {
  ConfigFile file;
  if (!line.config) {
    file.path = ConfigFile::default_path();
  } else if (*line.config != "none") {
    std::error_code failed;
    file.path = std::filesystem::absolute(*line.config, failed).string();
    file.required = true;
  }
  if (log::Level level; line.log_level && log::parse_level(*line.log_level, &level)) file.log_level = level;
  if (line.open_timeout) {
    file.open_timeout =
        std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*line.open_timeout));
  }
  if (line.drain) {
    file.drain = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*line.drain));
  }
  file.no_lanes = !line.lanes;
  return file;
}

std::string state_file_of(const CommandLine& line) {
  if (!line.state) return state_directory_file("forwards");
  if (*line.state == "none") return {};
  std::error_code failed;
  return std::filesystem::absolute(*line.state, failed).string();
}

std::vector<std::string> run_options(const CommandLine& line, const std::string& ssh_config) {
  std::vector<std::string> options;
  const auto add = [&options](const char* name, const std::string& value) {
    options.emplace_back(name);
    options.push_back(value);
  };
  if (line.config) {
    const std::string path = config_file_of(line).path;
    add("-c", path.empty() ? "none" : path);
  }
  if (line.log_level) add("--log-level", *line.log_level);
  if (line.open_timeout) add("--open-timeout", fmt::format("{}", *line.open_timeout));
  if (line.drain) add("--drain", fmt::format("{}", *line.drain));
  if (!line.lanes) options.emplace_back("--no-lanes");
  if (line.state) add("--state", *line.state == "none" ? "none" : state_file_of(line));
  if (!line.log_file.empty()) add("--log-file", absolute_path(line.log_file));
  if (line.log_size) add("--log-size", std::to_string(*line.log_size));
  if (!ssh_config.empty()) add("-F", ssh_config);
  return options;
}

std::string absolute_path(const std::string& file) {
  std::error_code failed;
  return std::filesystem::absolute(file, failed).string();
}

Result<AgentConfig> read_config(const ConfigFile& file) {
  auto config = file.read();
  if (auto* errors = std::get_if<ConfigErrors>(&config)) return summary(file.path, *errors);
  return std::get<AgentConfig>(std::move(config));
}

}  // namespace jump
