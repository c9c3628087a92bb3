// The agent under test, as a user has it: the built programs `jumpagent` and `jumpctl`, in a home and runtime
// directory of their own. Whatever the test did, when the owner goes the agent is stopped, must have ended in
// good order, and (in a sanitizer build) must have nothing to report: else the test fails.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/process.h"
#include "support/temp_dir.h"

namespace jump::test {

// Paths of the built programs: beside the tests, or in $JUMPAGENT_BIN_DIR.
std::string agent_program();
std::string ctl_program();

class AgentProcess {
 public:
  // Starts nothing. `ssh_config`: a file for -F; `environment` is added to the programs' own.
  explicit AgentProcess(std::string ssh_config, Environment environment = {});
  ~AgentProcess();
  AgentProcess(const AgentProcess&) = delete;
  AgentProcess& operator=(const AgentProcess&) = delete;

  // `jumpagent run -F … MORE` as a child of the test, answering on its socket when this returns.
  void run(const std::vector<std::string>& more = {});
  // `jumpagent up`, to its end. The agent that it starts is stopped by down() or the destructor.
  ProcessResult up();
  ProcessResult down();
  // `jumpagent ARGUMENTS…`, as they are: no -F is added.
  ProcessResult jumpagent(std::vector<std::string> arguments, Duration deadline = seconds(60));
  // `jumpctl ARGUMENTS…`
  ProcessResult ctl(std::vector<std::string> arguments, Duration deadline = seconds(60));

  // `jumpctl --json ARGUMENTS…`, which must succeed: what it printed.
  nlohmann::json ctl_json(std::vector<std::string> arguments);
  nlohmann::json status() { return ctl_json({"status"}); }
  // The entry of a host, or of a forward by id, in status(); null when there is none.
  nlohmann::json host_status(const std::string& host);
  nlohmann::json forward_status(const std::string& id);

  // `jumpctl --json forward --via HOST SPEC`, which must succeed: the forward's status.
  nlohmann::json open_forward(const std::string& via, const std::string& spec);
  // The same for "127.0.0.1:0:127.0.0.1:PORT": the local port that was chosen.
  std::uint16_t forward_port(const std::string& via, std::uint16_t target_port);

  // Of the agent that is running, by its own account.
  pid_t pid();
  bool serving();
  // After a test killed the agent on purpose: nothing to stop, no end to judge.
  void kill9();

  const Environment& environment() const { return environment_; }
  std::string runtime_dir() const { return directory_.file("run"); }
  std::string socket_dir() const { return runtime_dir() + "/jumpagent"; }
  std::string socket_path() const { return socket_dir() + "/control.sock"; }
  const TempDir& directory() const { return directory_; }
  // What the agent and its programs said on stderr, and what the sanitizers reported.
  std::string log() const;
  std::string sanitizer_reports() const;

 private:
  void stop();
  void expect_clean_end();

  TempDir directory_;
  std::string ssh_config_;
  Environment environment_;
  std::unique_ptr<Process> foreground_;
  pid_t background_ = 0;
};

// The port of "127.0.0.1:8080" or "[::1]:8080"; 0 when there is none.
std::uint16_t port_of(const std::string& endpoint);

}  // namespace jump::test
