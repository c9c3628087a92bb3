// jumpagent: the daemon's command line. `up` starts it in the background, `run` is it, `down` and `status`
// talk to the one that runs, as jumpctl does.
#include <fmt/core.h>

#include <string>

#include "base/log.h"
#include "command_line.h"
#include "ctl/output.h"
#include "ctl/verb.h"
#include "run.h"
#include "up.h"

namespace jump {
namespace {

int check_config(const CommandLine& line) {
  const ConfigFile file = config_file_of(line);
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
  Result<CommandLine> parsed = parse_command_line(argc, argv);
  if (!parsed) {
    ctl::Options plain;
    plain.program = "jumpagent";
    return ctl::fail(plain, parsed.error(), ctl::kExitUsage, proto::kInvalidParams);
  }
  if (parsed->version || parsed->help || parsed->verb == "help") {
    ctl::write_out(parsed->version ? fmt::format("jumpagent {}\n", JUMPAGENT_VERSION) : std::string(kUsage));
    return ctl::finish_output(parsed->client, ctl::kExitDone);
  }
  return dispatch(*parsed);
}

}  // namespace
}  // namespace jump

int main(int argc, char** argv) { return jump::start(argc, argv); }
