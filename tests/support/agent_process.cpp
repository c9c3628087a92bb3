#include "support/agent_process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "support/eventually.h"
#include "support/proc_info.h"
#include "support/setup_error.h"
#include "support/socket.h"

namespace jump::test {

namespace {

using nlohmann::json;

constexpr Duration kStartDeadline = seconds(60);
constexpr Duration kStopDeadline = seconds(60);

std::string program(const char* name) {
  // The programs lie beside the tests, wherever the build directory is now.
  std::error_code ignored;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const char* directory = std::getenv("JUMPAGENT_BIN_DIR");
  return (directory ? std::filesystem::path(directory) : self.parent_path()) / name;
}

// Sanitizer reports go to files of their own: a daemon's stderr may be anywhere.
void add_sanitizer_options(Environment& env, const std::string& log_path) {
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"}) {
    const char* given = std::getenv(name);
    env[name] = (given ? given + std::string(":") : std::string()) + "log_path=" + log_path;
  }
  env["UBSAN_OPTIONS"] += ":print_stacktrace=1";
}

std::vector<std::string> join(std::vector<std::string> head, const std::vector<std::string>& tail) {
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

json find(const json& list, const char* key, const std::string& value) {
  for (const json& entry : list) {
    if (entry.value(key, "") == value) return entry;
  }
  return nullptr;
}

}  // namespace

std::string agent_program() { return program("jumpagent"); }
std::string ctl_program() { return program("jumpctl"); }

std::uint16_t port_of(const std::string& endpoint) {
  const std::size_t colon = endpoint.rfind(':');
  if (colon == std::string::npos) return 0;
  return static_cast<std::uint16_t>(std::strtoul(endpoint.c_str() + colon + 1, nullptr, 10));
}

AgentProcess::AgentProcess(std::string ssh_config, Environment environment)
    : ssh_config_(std::move(ssh_config)), environment_(base_environment()) {
  environment_["HOME"] = directory_.make_dir("home");
  environment_["XDG_RUNTIME_DIR"] = directory_.make_dir("run");
  environment_["XDG_STATE_HOME"] = directory_.make_dir("state");
  environment_["XDG_CONFIG_HOME"] = directory_.make_dir("config");
  add_sanitizer_options(environment_, directory_.file("sanitizer"));
  for (const auto& [name, value] : environment) environment_[name] = value;
}

AgentProcess::~AgentProcess() {
  try {
    stop();
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
  }
  expect_clean_end();
  const std::string reports = sanitizer_reports();
  EXPECT_TRUE(reports.empty()) << reports;
  if (::testing::Test::HasFailure()) std::cerr << "--- the agent's log\n" << log();
}

// Also one that the test started with a command of its own.
void AgentProcess::stop() {
  if (!serving()) return;
  if (!foreground_ && !background_) background_ = pid();
  const ProcessResult result = down();
  EXPECT_TRUE(result.ok()) << "jumpagent down: " << result.describe();
}

void AgentProcess::expect_clean_end() {
  if (foreground_) {
    const std::optional<int> status = foreground_->wait(kStopDeadline);
    EXPECT_TRUE(status.has_value()) << "the agent does not end";
    EXPECT_EQ(status.value_or(0), 0) << "the agent ended badly";
  }
  if (background_ && !eventually([this] { return !process_alive(background_); }, kStopDeadline)) {
    ADD_FAILURE() << "the agent does not end";
    ::kill(background_, SIGKILL);
  }
}

void AgentProcess::run(const std::vector<std::string>& more) {
  const std::vector<std::string> command = join({agent_program(), "run", "-F", ssh_config_}, more);
  foreground_ = std::make_unique<Process>(command, environment_);
  const bool up = eventually([this] { return serving() || !foreground_->running(); }, kStartDeadline);
  if (!up || !foreground_->running()) setup_error("the agent did not start:\n" + log());
}

ProcessResult AgentProcess::up() {
  ProcessResult result = jumpagent({"up", "-F", ssh_config_});
  if (result.ok()) background_ = pid();
  return result;
}

ProcessResult AgentProcess::down() { return jumpagent({"down"}); }

ProcessResult AgentProcess::jumpagent(std::vector<std::string> arguments, Duration deadline) {
  return run_process(join({agent_program()}, arguments), deadline, environment_);
}

ProcessResult AgentProcess::ctl(std::vector<std::string> arguments, Duration deadline) {
  return run_process(join({ctl_program()}, arguments), deadline, environment_);
}

json AgentProcess::ctl_json(std::vector<std::string> arguments) {
  const ProcessResult result = ctl(join({"--json"}, arguments));
  json printed = json::parse(result.out, nullptr, false);
  if (!result.ok() || printed.is_discarded()) {
    std::string command = "jumpctl --json";
    for (const std::string& argument : arguments) command += " " + argument;
    setup_error(command + ": " + result.describe());
  }
  return printed;
}

json AgentProcess::host_status(const std::string& host) { return find(status().at("hosts"), "host", host); }

json AgentProcess::forward_status(const std::string& id) { return find(status().at("forwards"), "id", id); }

json AgentProcess::open_forward(const std::string& via, const std::string& spec) {
  return ctl_json({"forward", "--via", via, spec}).at("forward");
}

std::uint16_t AgentProcess::forward_port(const std::string& via, std::uint16_t target_port) {
  const json forward = open_forward(via, "127.0.0.1:0:127.0.0.1:" + std::to_string(target_port));
  return port_of(forward.at("listen").get<std::string>());
}

pid_t AgentProcess::pid() { return status().at("agent").at("pid").get<pid_t>(); }

bool AgentProcess::serving() { return Socket::connect_unix(socket_path()).has_value(); }

void AgentProcess::kill9() {
  const pid_t agent = pid();
  ::kill(agent, SIGKILL);
  if (foreground_) foreground_->kill();
  eventually([agent] { return !process_alive(agent); }, kStopDeadline);
  foreground_.reset();
  background_ = 0;
}

std::string AgentProcess::log() const {
  std::string text = foreground_ ? foreground_->out() + foreground_->err() : std::string();
  std::error_code ignored;  // what goes while it is looked at
  std::filesystem::recursive_directory_iterator entry(directory_.file("state"), ignored);
  for (; entry != end(entry); entry.increment(ignored)) {
    if (entry->is_regular_file(ignored)) text += entry->path().string() + ":\n" + read_file(entry->path());
  }
  return text;
}

std::string AgentProcess::sanitizer_reports() const {
  std::string text;
  std::error_code failed;
  std::filesystem::directory_iterator entry(directory_.path(), failed);
  for (; entry != end(entry); entry.increment(failed)) {
    if (!entry->path().filename().string().starts_with("sanitizer.")) continue;
    std::istringstream report(read_file(entry->path()));
    for (std::string line; std::getline(report, line);) {
      // The leak check met a thread that was ending: no finding. One that follows from it says so itself.
      if (line.find("Unable to get registers from thread") == std::string::npos) text += line + "\n";
    }
  }
  if (failed) text += directory_.path() + ": " + failed.message() + "\n";
  return text;
}

}  // namespace jump::test
