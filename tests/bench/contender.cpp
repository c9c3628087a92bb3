#include "bench/contender.h"

#include <time.h>

#include <filesystem>
#include <list>

#include "support/agent_process.h"
#include "support/eventually.h"
#include "support/reserved_port.h"
#include "support/setup_error.h"
#include "support/temp_dir.h"

namespace jump::bench {

namespace {

using test::setup_error;

constexpr Duration kCommandDeadline = seconds(30);

std::string local_spec(std::uint16_t from, std::uint16_t to) {
  return "127.0.0.1:" + std::to_string(from) + ":127.0.0.1:" + std::to_string(to);
}

void must_succeed(const CommandLine& command, const test::Environment& environment) {
  const test::ProcessResult result = test::run_process(command, kCommandDeadline, environment);
  if (!result.ok()) setup_error(command.front() + ": " + result.describe());
}

class Jumpagent : public Contender {
 public:
  explicit Jumpagent(const std::string& ssh_config, const std::vector<std::string>& options = {})
      : agent_(ssh_config) {
    agent_.run(options);
    must_succeed({test::ctl_program(), "connect", kBastion}, environment());
    pid_ = agent_.pid();
  }

  std::uint16_t forward(std::uint16_t target, int prewarm) override {
    std::vector<std::string> arguments = {"forward", "--via", kBastion, local_spec(0, target)};
    if (prewarm > 0) arguments.insert(arguments.begin() + 1, {"--prewarm", std::to_string(prewarm)});
    return test::port_of(agent_.ctl_json(arguments).at("forward").at("listen").get<std::string>());
  }
  pid_t pid() const override { return pid_; }

  CommandLine list_command() const override { return {test::ctl_program(), "list"}; }
  CommandLine forward_command(const std::string& spec) const override {
    return {test::ctl_program(), "forward", "--via", kBastion, spec};
  }
  CommandLine close_command(const std::string& spec) const override {
    return {test::ctl_program(), "close", spec};
  }
  CommandLine run_command(const std::string& command) const override {
    return {test::ctl_program(), "exec", kBastion, "--", command};
  }
  const test::Environment& environment() const override { return agent_.environment(); }

 private:
  test::AgentProcess agent_;
  pid_t pid_ = 0;
};

class Openssh : public Contender {
 public:
  explicit Openssh(const std::string& ssh_config)
      : ssh_config_(ssh_config),
        environment_(test::base_environment()),
        master_({"ssh", "-F", ssh_config, "-M", "-S", socket(), "-N", kBastion}, environment_) {
    const bool ready = test::eventually(
        [this] { return std::filesystem::exists(socket()) || !master_.running(); }, kCommandDeadline);
    if (!ready || !master_.running()) setup_error("ssh -M: " + master_.err());
    must_succeed(list_command(), environment_);
  }

  std::uint16_t forward(std::uint16_t target, int) override {
    const std::uint16_t port = ports_.emplace_back().number();
    must_succeed(forward_command(local_spec(port, target)), environment_);
    return port;
  }
  pid_t pid() const override { return master_.pid(); }

  CommandLine list_command() const override { return control({"check"}); }
  CommandLine forward_command(const std::string& spec) const override {
    return control({"forward", "-L", spec});
  }
  CommandLine close_command(const std::string& spec) const override {
    return control({"cancel", "-L", spec});
  }
  CommandLine run_command(const std::string& command) const override {
    return {"ssh", "-F", ssh_config_, "-S", socket(), kBastion, command};
  }
  const test::Environment& environment() const override { return environment_; }

 private:
  std::string socket() const { return directory_.file("master"); }
  CommandLine control(const CommandLine& what) const {
    CommandLine command = {"ssh", "-F", ssh_config_, "-S", socket(), "-O"};
    command.insert(command.end(), what.begin(), what.end());
    command.push_back(kBastion);
    return command;
  }

  test::TempDir directory_;
  std::string ssh_config_;
  test::Environment environment_;
  std::list<test::ReservedPort> ports_;
  test::Process master_;
};

}  // namespace

std::unique_ptr<Contender> Contender::start(Program program, const std::string& ssh_config) {
  if (program == Program::kJumpagent) return std::make_unique<Jumpagent>(ssh_config);
  return std::make_unique<Openssh>(ssh_config);
}

std::unique_ptr<Contender> Contender::start_jumpagent(const std::string& ssh_config,
                                                      const std::vector<std::string>& options) {
  return std::make_unique<Jumpagent>(ssh_config, options);
}

std::size_t lanes(const Contender& jumpagent) {
  const auto status =
      test::run_process({test::ctl_program(), "--json", "status"}, kCommandDeadline, jumpagent.environment());
  if (!status.ok()) setup_error("jumpctl status: " + status.describe());
  return nlohmann::json::parse(status.out).at("hosts").at(0).at("lanes").get<std::size_t>();
}

bool can_prewarm() {
  const auto help = test::run_process({test::ctl_program(), "forward", "--help"}, kCommandDeadline);
  return help.out.find("--prewarm") != std::string::npos;
}

double cpu_seconds(pid_t pid) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) {
    setup_error("process " + std::to_string(pid) + " has no CPU clock: it ended");
  }
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace jump::bench
