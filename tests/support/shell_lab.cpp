#include "support/shell_lab.h"

#include <sstream>

#include "support/agent_process.h"

namespace jump::test {

ShellLab::ShellLab(LabOptions options) : lab_(std::make_unique<Lab>(std::move(options))) {}

Environment ShellLab::environment() {
  Environment env = agent().environment();
  env["ssh_config"] = lab_->ssh_config();
  env["jumpctl"] = ctl_program();
  env["dir"] = lab_->directory().path();
  env["TERM"] = "xterm";
  for (const auto& [name, value] : more_) env[name] = value;
  return env;
}

std::string ShellLab::text(Client client, const std::string& script) {
  const char* ssh = "run() { ssh -F \"${own_config:-$ssh_config}\" \"$@\"; }\nshell() { run \"$@\"; }\n";
  const char* jumpctl = "run() { \"$jumpctl\" exec \"$@\"; }\nshell() { \"$jumpctl\" shell \"$@\"; }\n";
  return std::string(client == Client::kSsh ? ssh : jumpctl) + script;
}

ProcessResult ShellLab::run(Client client, const std::string& script, Duration deadline) {
  return run_process({"bash", "-c", text(client, script)}, deadline, environment());
}

std::string without_own_messages(const std::string& err) {
  std::istringstream lines(err);
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const bool own = line.rfind("jumpctl: ", 0) == 0 || line.rfind("Pseudo-terminal will not", 0) == 0 ||
                     line.rfind("Connection to ", 0) == 0 || line.rfind("Shared connection to ", 0) == 0 ||
                     line.rfind("client_loop: ", 0) == 0 ||
                     line.find("request failed on channel") != std::string::npos;
    if (!own) kept += line + "\n";
  }
  return kept;
}

}  // namespace jump::test
