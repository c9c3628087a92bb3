// jumpagent: the daemon's command line. `up` starts it in the background, `run` is it, `down` and `status`
// talk to the one that runs, as jumpctl does.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <optional>

#define CXXOPTS_NO_REGEX true          // <regex> is large and slow to start
#define CXXOPTS_VECTOR_DELIMITER '\0'  // an argument with a comma is one argument
#include <cxxopts.hpp>

#include "agent.h"
#include "base/log.h"
#include "config/config_file.h"
#include "ctl/client.h"
#include "ctl/output.h"
#include "ctl/verb.h"
#include "launch.h"
#include "proto/codec.h"
#include "proto/socket_path.h"

namespace jump {
namespace {

constexpr const char* kHelp =
    "usage: jumpagent VERB [options]\n"
    "\n"
    "  up       start the agent in the background; returns when it answers\n"
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
    "  --json              one JSON document on stdout (up, down, reload, status)\n"
    "  --help, --version\n"
    "\n"
    "The agent that `up` starts logs to ~/.local/state/jumpagent/agent.log\n"
    "($XDG_STATE_HOME). Exit status: 0 done, 1 failed, 2 usage, 3 no agent is running.\n";

struct CommandLine {
  std::string verb;
  ctl::Options client;  // --socket, --json
  std::string ssh_config;
  std::optional<std::string> config;
  std::optional<std::string> log_level;
  std::optional<std::string> state;
  std::optional<double> open_timeout;
  bool lanes = true;
  bool help = false, version = false;
};

Error usage_error(std::string message) {
  return Error{Errc::kInvalid, std::move(message), "try 'jumpagent --help'"};
}

Result<CommandLine> parse(int argc, char** argv) {
  try {
    cxxopts::Options known("jumpagent");
    known.add_options()("c,config", "", cxxopts::value<std::string>())("F", "", cxxopts::value<std::string>())("socket", "", cxxopts::value<std::string>())(
        "log-level", "", cxxopts::value<std::string>())("state", "", cxxopts::value<std::string>())("open-timeout", "", cxxopts::value<double>())(
        "no-lanes", "")("json", "")("h,help", "")("version", "")("words", "",
                                                                 cxxopts::value<std::vector<std::string>>());
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

Result<std::string> absolute(const std::string& file) {
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

// The config file, by what the command line says of it and instead of it. That log_level and open_timeout are
// good was seen to before.
ConfigFile config_file(const CommandLine& line) {
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
  file.no_lanes = !line.lanes;
  return file;
}

// Empty: nowhere.
std::string state_file(const CommandLine& line) {
  if (!line.state) return state_directory_file("forwards");
  if (*line.state == "none") return {};
  std::error_code failed;
  return std::filesystem::absolute(*line.state, failed).string();
}

Result<AgentConfig> read_config(const ConfigFile& file) {
  auto config = file.read();
  if (auto* errors = std::get_if<ConfigErrors>(&config)) return summary(file.path, *errors);
  return std::get<AgentConfig>(std::move(config));
}

// No core dumps and no debugger of the same user: there are keys in memory.
void protect_memory() {
  rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
#if !defined(__SANITIZE_ADDRESS__)  // LeakSanitizer has to look into the process
  prctl(PR_SET_DUMPABLE, 0);
#endif
}

// Each forwarded connection is a descriptor; the usual soft limit of 1,024 is for programs that use select().
void raise_descriptor_limit() {
  constexpr rlim_t kWanted = 65536;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kWanted));
  setrlimit(RLIMIT_NOFILE, &limit);
}

int run(const CommandLine& line) {
  prctl(PR_SET_NAME, "jumpagent");  // `up` starts it through /proc/self/exe
  int waiting = take_report_descriptor();
  auto fail = [&](const Error& error) {
    report(waiting, &error);
    return ctl::fail_lines(line.client, error, ctl::kExitFailed);
  };
  const ConfigFile file = config_file(line);
  auto settings = read_config(file);
  log::init(settings ? settings->log_level : log::Level::kInfo);
  if (!settings) return fail(settings.error());
  protect_memory();
  raise_descriptor_limit();
  umask(0077);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);  // until the agent watches it

  auto socket = proto::control_socket_path(line.client.socket);
  if (!socket) return fail(socket.error());
  auto config = absolute(line.ssh_config);
  if (!config) return fail(config.error());
  AgentOptions options;
  options.socket_path = *socket;
  options.ssh_config_file = *config;
  options.config_file = file;
  options.config = *std::move(settings);
  options.state_file = state_file(line);
  Agent agent(std::move(options));
  if (Status started = agent.start(); !started) return fail(started.error());
  report(waiting, nullptr);
  agent.run();
  return ctl::kExitDone;
}

// Without waiting for pool threads: one may be inside a name lookup that takes its resolver's time.
[[noreturn]] void leave(int exit_code) {
#if !defined(__SANITIZE_ADDRESS__)  // leaks are looked for at a full exit only
  std::fflush(nullptr);
  _exit(exit_code);
#endif
  std::exit(exit_code);
}

int say_up(const CommandLine& line, const std::string& socket, int pid, bool existing) {
  if (line.client.json) {
    ctl::write_out(proto::encode(proto::UpResult{pid, socket, existing}).dump() + "\n");
  } else {
    ctl::write_out(
        fmt::format("jumpagent {} (pid {}) on {}\n", existing ? "runs already" : "is up", pid, socket));
  }
  return ctl::finish_output(line.client, ctl::kExitDone);
}

// The pid of the agent that runs, if one does. One that reads another ssh_config than was asked for goes on
// doing so, and the user is told.
std::optional<int> running_agent(const CommandLine& line, const std::string& socket,
                                 const std::string& config) {
  auto client = ctl::Client::connect({socket, std::string("jumpagent ") + JUMPAGENT_VERSION, seconds(5)});
  if (!client) return std::nullopt;
  auto status = client->call(proto::method::kStatus, {}, seconds(5));
  if (status && !line.ssh_config.empty() && status->agent.ssh_config != config) {
    const std::string& other = status->agent.ssh_config;
    ctl::write_err(fmt::format(
        "jumpagent: -F is not used: the agent that runs reads {}; to change that: jumpagent down\n",
        other.empty() ? "your own ssh_config" : other));
  }
  if (status && line.config && status->agent.config != config_file(line).path) {
    const std::string& other = status->agent.config;
    ctl::write_err(fmt::format(
        "jumpagent: -c is not used: the agent that runs reads {}; to change that: jumpagent down\n",
        other.empty() ? "no config file" : other));
  }
  return client->agent().pid;
}

int up(const CommandLine& line) {
  auto socket = proto::control_socket_path(line.client.socket);
  if (!socket) return ctl::fail(line.client, socket.error(), ctl::kExitFailed);
  auto config = absolute(line.ssh_config);
  if (!config) return ctl::fail(line.client, config.error(), ctl::kExitFailed);
  std::error_code ignored;
  std::string path = std::filesystem::absolute(*socket, ignored).string();
  if (auto pid = running_agent(line, path, *config)) return say_up(line, path, *pid, true);

  const ConfigFile file = config_file(line);
  if (auto settings = read_config(file); !settings) {
    return ctl::fail_lines(line.client, settings.error(), ctl::kExitFailed);
  }
  std::vector<std::string> arguments{"run",
                                     "--socket",
                                     path};
  if (line.config) arguments.insert(arguments.end(), {"-c", file.path.empty() ? "none" : file.path});
  if (line.log_level) arguments.insert(arguments.end(), {"--log-level", *line.log_level});
  if (line.open_timeout)
    arguments.insert(arguments.end(), {"--open-timeout", fmt::format("{}", *line.open_timeout)});
  if (!line.lanes) arguments.emplace_back("--no-lanes");
  if (line.state) arguments.insert(arguments.end(), {"--state", *line.state == "none" ? "none" : state_file(line)});
  if (!config->empty()) arguments.insert(arguments.end(), {"-F", *config});
  Result<int> pid = launch_detached(arguments, state_directory_file("agent.log"));
  if (pid) return say_up(line, path, *pid, false);
  // Two that start at once: the other one was faster.
  if (pid.error().code == Errc::kInUse) {
    if (auto other = running_agent(line, path, *config)) return say_up(line, path, *other, true);
  }
  return ctl::fail(line.client, pid.error().context("the agent did not start"), ctl::kExitFailed);
}

int check_config(const CommandLine& line) {
  const ConfigFile file = config_file(line);
  auto config = read_config(file);
  if (!config) return ctl::fail_lines(line.client, config.error(), ctl::kExitFailed);
  if (config->file.empty()) {
    ctl::write_out(fmt::format("there is no config file{}\n", file.path.empty() ? "" : " " + file.path));
  } else {
    ctl::write_out(fmt::format("{} is good: {} routes, {} forwards\n", config->file,
                               config->routes.routes().size(), config->forwards.size()));
  }
  return ctl::finish_output(line.client, ctl::kExitDone);
}

int dispatch(const CommandLine& line) {
  log::Level level;
  if (line.log_level && !log::parse_level(*line.log_level, &level)) {
    return ctl::fail(line.client, usage_error("'" + *line.log_level + "' is not a log level"), ctl::kExitUsage,
                     proto::kInvalidParams);
  }
  if (line.open_timeout && !(*line.open_timeout > 0 && *line.open_timeout <= proto::kMaxTimeout)) {
    return ctl::fail(line.client, usage_error("--open-timeout takes seconds, more than 0"), ctl::kExitUsage,
                     proto::kInvalidParams);
  }
  if (line.verb == "up") return up(line);
  if (line.verb == "run") leave(run(line));
  if (line.verb == "down") return ctl::shut_down(line.client);
  if (line.verb == "reload") return ctl::reload_config(line.client);
  if (line.verb == "check-config") return check_config(line);
  if (line.verb == "status") return ctl::show_status(line.client);
  std::string what = line.verb.empty() ? "a verb is wanted: up, run, down, reload, status or check-config"
                                       : "'" + line.verb + "' is not a verb of jumpagent";
  return ctl::fail(line.client, usage_error(what), ctl::kExitUsage, proto::kInvalidParams);
}

int start(int argc, char** argv) {
  ctl::occupy_standard_descriptors();
  Result<CommandLine> parsed = parse(argc, argv);
  if (!parsed) {
    ctl::Options plain;
    plain.program = "jumpagent";
    return ctl::fail(plain, parsed.error(), ctl::kExitUsage, proto::kInvalidParams);
  }
  if (parsed->version || parsed->help || parsed->verb == "help") {
    ctl::write_out(parsed->version ? fmt::format("jumpagent {}\n", JUMPAGENT_VERSION) : std::string(kHelp));
    return ctl::finish_output(parsed->client, ctl::kExitDone);
  }
  return dispatch(*parsed);
}

}  // namespace
}  // namespace jump

int main(int argc, char** argv) { return jump::start(argc, argv); }
