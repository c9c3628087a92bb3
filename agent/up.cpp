#include "up.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "ctl/client.h"
#include "ctl/output.h"
#include "launch.h"
#include "process_facts.h"
#include "proto/codec.h"
#include "proto/socket_path.h"

namespace jump {
namespace {

constexpr Duration kAnswer = seconds(5);  // an agent that does not answer for so long hangs

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

// The agent that runs, if one does; kTimeout: one does, and does not answer. One that is ending is waited
// for, and is none then.
Result<std::optional<proto::AgentStatus>> running_agent(const std::string& socket) {
  constexpr int kBuildTries = 100;  // it reads its own program file after its start
  for (int i = 0;; ++i) {
    auto client = ctl::Client::connect({socket, std::string("jumpagent ") + JUMPAGENT_VERSION, kAnswer});
    if (!client && client.error().code == Errc::kTimeout) {
      Error error = client.error();
      error.hint = "try again where the machine is busy; if it hangs, end it with kill -9, and start it anew";
      return error;
    }
    if (!client) return std::optional<proto::AgentStatus>();
    auto status = client->call(proto::method::kStatus, {}, kAnswer);
    if (!status) {
      proto::AgentStatus unknown;
      unknown.pid = client->agent().pid;
      return std::optional(std::move(unknown));
    }
    if (status->agent.state == "ending") {
      const std::chrono::duration<double> left(status->agent.drain_left.value_or(0));
      (void)client->wait_closed(std::chrono::duration_cast<Duration>(left) + kAnswer);
      continue;
    }
    if (!status->agent.build.empty() || status->agent.version != JUMPAGENT_VERSION || i >= kBuildTries)
      return std::optional(std::move(status->agent));
    usleep(20'000);
  }
}

// The user is told where the agent that runs stays, with other settings than were asked for.
void say_differences(const CommandLine& line, const proto::AgentStatus& running,
                     const std::string& ssh_config) {
  if (running.version.empty()) return;  // it did not answer
  const auto say = [](const std::string& option, const std::string& what) {
    ctl::write_err(fmt::format(
        "jumpagent: {} is not used: the agent that runs {}; to change that: jumpagent up --replace\n", option,
        what));
  };
  if (!line.ssh_config.empty() && running.ssh_config != ssh_config)
    say("-F", "reads " + (running.ssh_config.empty() ? "your own ssh_config" : running.ssh_config));
  if (line.config && running.config != config_file_of(line).path)
    say("-c", "reads " + (running.config.empty() ? "no config file" : running.config));
  const std::vector<std::string> wanted = run_options(line, {}), &has = running.options;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const std::string& name = wanted[i];
    const bool takes_value = name != "--no-lanes";
    i += takes_value ? 1 : 0;
    if (name == "-c") continue;
    const auto there = std::find(has.begin(), has.end(), name);
    if (there == has.end()) {
      say(name, "was started without it");
    } else if (takes_value && std::next(there) != has.end() && *std::next(there) != wanted[i]) {
      say(name, "has " + *std::next(there));
    }
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

// One that nobody asked for is done without where it cannot be; the user hears of it.
std::string default_log_file() {
  const std::string path = state_directory_file("agent.log");
  if (path.empty()) return {};
  const Fd made(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0600));
  if (made) return path;
  ctl::write_err(fmt::format(
      "jumpagent: no log is kept: {}: {}; name another file: jumpagent up --replace --log-file FILE\n", path,
      std::strerror(errno)));
  return {};
}

// What the new agent cannot read or write of its state is said where the user is. The agent before may have
// the file for a moment longer.
void say_state_problem(const std::string& socket, bool replaces) {
  constexpr int kTries = 10;
  constexpr useconds_t kGap = 100'000;
  auto client = ctl::Client::connect({socket, std::string("jumpagent ") + JUMPAGENT_VERSION, kAnswer});
  if (!client) return;
  for (int i = 1;; ++i) {
    const auto status = client->call(proto::method::kStatus, {}, kAnswer);
    if (!status) return;
    if (!status->agent.state_usable && replaces && i < kTries) {
      usleep(kGap);
      continue;
    }
    if (!status->agent.state_problem.empty())
      ctl::write_err("jumpagent: persistent forwards: " + status->agent.state_problem + "\n");
    return;
  }
}

int start_detached(const CommandLine& line, const std::string& socket, std::optional<int> replaces) {
  auto config = ssh_config_of(line);
  if (!config) return ctl::fail(line.client, config.error(), ctl::kExitFailed);
  if (auto settings = read_config(config_file_of(line)); !settings)
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
    say_state_problem(socket, replaces.has_value());
    return say_up(line, {launched->pid, socket, false, replaces, launched->left_connections});
  }
  // Two that start at once: the other one was faster.
  if (launched.error().code == Errc::kInUse) {
    if (auto other = running_agent(socket); other && *other && (*other)->pid != replaces)
      return say_up(line, {(*other)->pid, socket, true, std::nullopt, 0});
  }
  const char* what =
      replaces ? "the agent that runs was not replaced, and serves on" : "the agent did not start";
  return ctl::fail(line.client, launched.error().context(what), ctl::kExitFailed);
}

}  // namespace

int up(const CommandLine& line) {
  auto socket = proto::control_socket_path(line.client.socket);
  if (!socket) return ctl::fail(line.client, socket.error(), ctl::kExitFailed);
  auto config = ssh_config_of(line);
  if (!config) return ctl::fail(line.client, config.error(), ctl::kExitFailed);
  const std::string path = absolute_path(*socket);
  const Result<std::optional<proto::AgentStatus>> found = running_agent(path);
  if (!found) return ctl::fail(line.client, found.error(), ctl::kExitFailed);
  const std::optional<proto::AgentStatus>& running = *found;
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

}  // namespace jump
