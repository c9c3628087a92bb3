// jumpagent: the daemon's command line. `up` starts it in the background, `run` is it, `down` and `status`
// talk to the one that runs, as jumpctl does.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/ioctl.h>
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
#include "process_facts.h"
#include "proto/codec.h"
#include "proto/socket_path.h"
#include "safekeeping.h"
#include "service_manager.h"
#include "takeover.h"

namespace jump {
namespace {

constexpr const char* kHelp =
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

Error usage_error(std::string message) {
  return Error{Errc::kInvalid, std::move(message), "try 'jumpagent --help'"};
}

Result<CommandLine> parse(int argc, char** argv) {
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
  if (line.drain) {
    file.drain = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*line.drain));
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
// Errors: kLimit, there are too few to log in anywhere.
Status raise_descriptor_limit() {
  // kLeast: an agent at rest has some 20; a login, a client and their helpers want a dozen each.
  constexpr rlim_t kWanted = 65536, kLeast = 48;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kWanted));
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= kLeast) return {};
  return Error{Errc::kLimit,
               fmt::format("only {} descriptors are allowed here, and it takes {}", limit.rlim_cur, kLeast),
               fmt::format("run: ulimit -n {}, or more: each forwarded connection takes one", kWanted)};
}

std::string absolute_path(const std::string& file) {
  std::error_code failed;
  return std::filesystem::absolute(file, failed).string();
}

// What `run` needs to be the agent that this line asks for, but for its socket.
std::vector<std::string> run_options(const CommandLine& line, const std::string& ssh_config) {
  std::vector<std::string> options;
  const auto add = [&options](const char* name, const std::string& value) {
    options.emplace_back(name);
    options.push_back(value);
  };
  if (line.config) {
    const std::string path = config_file(line).path;
    add("-c", path.empty() ? "none" : path);
  }
  if (line.log_level) add("--log-level", *line.log_level);
  if (line.open_timeout) add("--open-timeout", fmt::format("{}", *line.open_timeout));
  if (line.drain) add("--drain", fmt::format("{}", *line.drain));
  if (!line.lanes) options.emplace_back("--no-lanes");
  if (line.state) add("--state", *line.state == "none" ? "none" : state_file(line));
  if (!line.log_file.empty()) add("--log-file", absolute_path(line.log_file));
  if (line.log_size) add("--log-size", std::to_string(*line.log_size));
  if (!ssh_config.empty()) add("-F", ssh_config);
  return options;
}

Status start_log(const CommandLine& line) {
  log::Output output;
  output.file = line.log_file;
  if (line.log_size) output.file_size = *line.log_size;
  Status started = log::start(output);
  if (!started && started.error().code == Errc::kLimit) {  // the disk may have room later
    log::warn("{}", started.error().message);
    return {};
  }
  return started;
}

Result<Launched> start_agent(Agent& agent, const std::string& socket, bool take_over,
                             ServiceManager& service) {
  Launched launched{getpid()};
  Inheritance inheritance = Safekeeping::sort(service.take_passed());
  if (!take_over) {
    if (Status started = agent.start(std::move(inheritance)); !started) return started.error();
    return launched;
  }
  Result<Takeover> takeover = Takeover::begin(socket);
  if (!takeover) return takeover.error();
  if (Status started = agent.start(takeover->take()); !started) {
    agent.leave_names();  // the old one serves on
    return started.error();
  }
  Result<proto::AgentRetireResult> retired = takeover->finish();
  if (!retired) {
    agent.leave_names();
    return retired.error();
  }
  launched.left_connections = retired->connections;
  launched.left_forwards = takeover->held();
  return launched;
}

// Sessions read the terminals that clients pass. If one were our own as well, a background agent would be
// stopped for reading it, and everything that it carries with it. Ctrl-C reaches us all the same.
void leave_terminal() {
  if (getsid(0) == getpid()) return;  // it would hang up everybody else on it
  const int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) return;
  ioctl(terminal, TIOCNOTTY);
  close(terminal);
}

int run(const CommandLine& line) {
  prctl(PR_SET_NAME, "jumpagent");  // `up` starts it through /proc/self/exe
  int waiting = take_report_descriptor();
  auto fail = [&](const Error& error) {
    report(waiting, error);
    return ctl::fail_lines(line.client, error, ctl::kExitFailed);
  };
  ServiceManager service = ServiceManager::from_environment();
  const ConfigFile file = config_file(line);
  auto settings = read_config(file);
  log::init(settings ? settings->log_level : log::Level::kInfo);
  if (!settings) return fail(settings.error());
  protect_memory();
  if (Status enough = raise_descriptor_limit(); !enough) return fail(enough.error());
  umask(0077);
  leave_terminal();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);  // until the agent watches it

  auto socket = proto::control_socket_path(line.client.socket);
  if (!socket) return fail(socket.error());
  auto config = absolute(line.ssh_config);
  if (!config) return fail(config.error());
  if (Status logging = start_log(line); !logging) return fail(logging.error());
  AgentOptions options;
  options.socket_path = *socket;
  options.ssh_config_file = *config;
  options.config_file = file;
  options.config = *std::move(settings);
  options.state_file = state_file(line);
  options.command_line = run_options(line, *config);
  Agent agent(std::move(options), service);
  Result<Launched> started = start_agent(agent, *socket, line.take_over, service);
  if (!started) return fail(started.error());
  agent.run([&] { report(waiting, started); });
  return ctl::kExitDone;
}

// A disk that hangs must not keep us.
constexpr Duration kLogEnd = seconds(1);

// Without waiting for pool threads: one may be inside a name lookup that takes its resolver's time.
[[noreturn]] void leave(int exit_code) {
  log::finish(kLogEnd);
#if !defined(__SANITIZE_ADDRESS__)  // leaks are looked for at a full exit only
  std::fflush(nullptr);
  _exit(exit_code);
#endif
  std::exit(exit_code);
}

int say_up(const CommandLine& line, const proto::UpResult& result) {
  if (line.client.json) {
    ctl::write_out(proto::encode(result).dump() + "\n");
  } else {
    std::string text = fmt::format("jumpagent {} (pid {}) on {}", result.existing ? "runs already" : "is up",
                                   result.pid, result.socket);
    if (result.replaced) text += fmt::format(", in place of pid {}", *result.replaced);
    if (result.connections > 0)
      text += fmt::format(", which carries its {} open connection{} to their end", result.connections,
                          result.connections == 1 ? "" : "s");
    ctl::write_out(text + "\n");
  }
  return ctl::finish_output(line.client, ctl::kExitDone);
}

// The agent that runs, if one does. One that is ending is waited for, and is none then.
std::optional<proto::AgentStatus> running_agent(const std::string& socket) {
  constexpr Duration kMost = seconds(5);
  constexpr int kBuildTries = 100;  // it reads its own program file after its start
  for (int i = 0;; ++i) {
    auto client = ctl::Client::connect({socket, std::string("jumpagent ") + JUMPAGENT_VERSION, kMost});
    if (!client) return std::nullopt;
    auto status = client->call(proto::method::kStatus, {}, kMost);
    if (!status) {
      proto::AgentStatus unknown;
      unknown.pid = client->agent().pid;
      return unknown;
    }
    if (status->agent.state == "ending") {
      const std::chrono::duration<double> left(status->agent.drain_left.value_or(0));
      (void)client->wait_closed(std::chrono::duration_cast<Duration>(left) + kMost);
      continue;
    }
    if (!status->agent.build.empty() || status->agent.version != JUMPAGENT_VERSION || i >= kBuildTries)
      return std::move(status->agent);
    usleep(20'000);
  }
}

// The user is told where the agent that runs stays, with other settings than were asked for.
void say_differences(const CommandLine& line, const proto::AgentStatus& running,
                     const std::string& ssh_config) {
  if (!line.ssh_config.empty() && running.ssh_config != ssh_config) {
    const std::string& other = running.ssh_config;
    ctl::write_err(fmt::format(
        "jumpagent: -F is not used: the agent that runs reads {}; to change that: jumpagent up --replace\n",
        other.empty() ? "your own ssh_config" : other));
  }
  if (line.config && running.config != config_file(line).path) {
    const std::string& other = running.config;
    ctl::write_err(fmt::format(
        "jumpagent: -c is not used: the agent that runs reads {}; to change that: jumpagent up --replace\n",
        other.empty() ? "no config file" : other));
  }
}

enum class Choice { kStays, kIsReplaced, kIsAnothers };

Choice choose(const CommandLine& line, const proto::AgentStatus& running) {
  if (line.replace) return running.supervised ? Choice::kIsAnothers : Choice::kIsReplaced;
  if (running.build.empty() || running.build == program_build()) return Choice::kStays;
  if (!running.supervised) return Choice::kIsReplaced;
  ctl::write_err(
      "jumpagent: the agent that runs is another build, and belongs to a service manager; to replace it: "
      "systemctl --user restart jumpagent\n");
  return Choice::kStays;
}

// What this line leaves open is as the agent that runs has it.
CommandLine with_options_of(const CommandLine& line, const std::vector<std::string>& options) {
  std::vector<std::string> words{"jumpagent", "run"};
  words.insert(words.end(), options.begin(), options.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  Result<CommandLine> other = parse(static_cast<int>(argv.size()), argv.data());
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

// One that nobody asked for is done without where it cannot be.
std::string default_log_file() {
  const std::string path = state_directory_file("agent.log");
  const Fd made(
      path.empty() ? -1 : open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0600));
  return made ? path : std::string();
}

int start_detached(const CommandLine& line, const std::string& socket, std::optional<int> replaces) {
  auto config = absolute(line.ssh_config);
  if (!config) return ctl::fail(line.client, config.error(), ctl::kExitFailed);
  if (auto settings = read_config(config_file(line)); !settings)
    return ctl::fail_lines(line.client, settings.error(), ctl::kExitFailed);
  std::vector<std::string> arguments{"run", "--socket", socket};
  if (replaces) arguments.emplace_back("--take-over");
  CommandLine full = line;
  if (full.log_file.empty()) full.log_file = default_log_file();
  const std::vector<std::string> options = run_options(full, *config);
  arguments.insert(arguments.end(), options.begin(), options.end());

  Result<Launched> launched = launch_detached(arguments, full.log_file);
  if (launched) {
    if (launched->left_forwards > 0 && !line.client.json)
      ctl::write_err(fmt::format("jumpagent: {} forwards that are held by a client have ended\n",
                                 launched->left_forwards));
    return say_up(line, {launched->pid, socket, false, replaces, launched->left_connections});
  }
  // Two that start at once: the other one was faster.
  if (launched.error().code == Errc::kInUse) {
    if (auto other = running_agent(socket); other && other->pid != replaces)
      return say_up(line, {other->pid, socket, true, std::nullopt, 0});
  }
  const char* what =
      replaces ? "the agent that runs was not replaced, and serves on" : "the agent did not start";
  return ctl::fail(line.client, launched.error().context(what), ctl::kExitFailed);
}

int up(const CommandLine& line) {
  auto socket = proto::control_socket_path(line.client.socket);
  if (!socket) return ctl::fail(line.client, socket.error(), ctl::kExitFailed);
  auto config = absolute(line.ssh_config);
  if (!config) return ctl::fail(line.client, config.error(), ctl::kExitFailed);
  const std::string path = absolute_path(*socket);
  const std::optional<proto::AgentStatus> running = running_agent(path);
  if (!running) return start_detached(line, path, std::nullopt);
  const Choice choice = choose(line, *running);
  if (choice == Choice::kIsReplaced)
    return start_detached(with_options_of(line, running->options), path, running->pid);
  if (choice == Choice::kIsAnothers) {
    // It would start another one again, and that would find its place taken.
    return ctl::fail(
        line.client,
        Error{Errc::kRefused,
              fmt::format("the agent that runs (pid {}) belongs to a service manager, which alone "
                          "can replace it",
                          running->pid),
              "systemctl --user restart jumpagent"},
        ctl::kExitFailed);
  }
  say_differences(line, *running, *config);
  return say_up(line, {running->pid, path, true, std::nullopt, 0});
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
    return ctl::fail(line.client, usage_error("'" + *line.log_level + "' is not a log level"),
                     ctl::kExitUsage, proto::kInvalidParams);
  }
  if (line.open_timeout && !(*line.open_timeout > 0 && *line.open_timeout <= proto::kMaxTimeout)) {
    return ctl::fail(line.client, usage_error("--open-timeout takes seconds, more than 0"), ctl::kExitUsage,
                     proto::kInvalidParams);
  }
  if (line.drain && !(*line.drain >= 0 && *line.drain <= proto::kMaxTimeout)) {
    return ctl::fail(line.client, usage_error("--drain takes seconds, 0 or more"), ctl::kExitUsage,
                     proto::kInvalidParams);
  }
  if (line.verb == "up") return up(line);
  if (line.verb == "run") leave(run(line));
  if (line.verb == "down") return ctl::shut_down(line.client, {line.now, line.drain});
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
