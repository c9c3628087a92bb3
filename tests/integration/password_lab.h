// Servers that want a password, through PAM, and an agent that knows neither them nor their host keys: the
// scene of logins that need a person. Root only, see PamService.
//
//   Host NAME in ssh_config, per add(): by password, or by a key; directly, or through another one
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "support/agent_process.h"
#include "support/eventually.h"
#include "support/key_pair.h"
#include "support/on_terminal.h"
#include "support/pam_service.h"
#include "support/ssh_config.h"
#include "support/sshd.h"
#include "support/temp_dir.h"

namespace jump::test {

class PasswordLab : public ::testing::Test {
 protected:
  static constexpr const char* kPassword = "Xk4-vTr8-never-said";
  static constexpr const char* kTrust = "Are you sure you want to continue connecting";
  static constexpr const char* kPasswordPrompt = "'s password: ";

  void SetUp() override {
    if (!PamService::possible()) GTEST_SKIP() << "needs root, and libpam0g-dev when it was built";
  }

  struct Server {
    std::string module = std::string("password=") + kPassword;  // arguments of pam_questions
    std::string methods = "password";                           // AuthenticationMethods
    std::vector<std::string> sshd_config = {};
    std::vector<std::string> lines = {};  // of its Host block
    bool known = false;                   // its host key
  };
  Sshd& add(const std::string& name, const Server& server);
  Sshd& add(const std::string& name) { return add(name, Server{}); }
  // One that lets a key in, whose host key is known.
  Sshd& add_with_key(const std::string& name, const std::vector<std::string>& lines);

  void add_host(const SshConfigHost& host) { hosts_.push_back(host); }

  // To be called once, after the servers are there.
  AgentProcess& start(const std::vector<std::string>& more = {}, const Environment& environment = {});
  AgentProcess& agent() { return *agent_; }
  std::string known_hosts() const { return directory_.file("known_hosts"); }
  const TempDir& directory() const { return directory_; }

  // `jumpctl ARGUMENTS…` on a terminal of its own.
  std::unique_ptr<OnTerminal> on_terminal(std::vector<std::string> arguments, const Environment& more = {});
  std::unique_ptr<OnTerminal> connect(const std::string& host) { return on_terminal({"connect", host}); }
  bool ready(const std::string& host);
  bool has_clients(int count);  // soon, besides the one that asks

 private:
  TempDir directory_;
  std::vector<std::unique_ptr<PamService>> services_;
  std::vector<std::unique_ptr<Sshd>> sshds_;
  std::vector<SshConfigHost> hosts_;
  std::string known_;
  std::unique_ptr<AgentProcess> agent_;
};

// How often `text` is in `log`.
inline int count_of(const std::string& log, const std::string& text) {
  int found = 0;
  for (std::size_t at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) ++found;
  return found;
}

// --- PasswordLab

inline Sshd& PasswordLab::add(const std::string& name, const Server& server) {
  services_.push_back(std::make_unique<PamService>(server.module));
  SshdOptions options;
  options.program = services_.back()->program();
  options.config = server.sshd_config;
  for (const char* line : {"UsePAM yes", "PasswordAuthentication yes", "KbdInteractiveAuthentication yes"})
    options.config.emplace_back(line);
  options.config.push_back("AuthenticationMethods " + server.methods);
  sshds_.push_back(std::make_unique<Sshd>(options));
  SshConfigHost host;
  host.alias = name;
  host.port = sshds_.back()->port();
  host.known_hosts = known_hosts();
  host.lines = server.lines;
  host.lines.insert(host.lines.end(), {"BatchMode no", "StrictHostKeyChecking ask"});
  hosts_.push_back(host);
  if (server.known) known_ += sshds_.back()->known_hosts();
  return *sshds_.back();
}

inline Sshd& PasswordLab::add_with_key(const std::string& name, const std::vector<std::string>& lines) {
  sshds_.push_back(std::make_unique<Sshd>());
  const KeyPair key = generate_key(KeyKind::kEd25519, directory_.file("key_" + name));
  sshds_.back()->authorize(key);
  SshConfigHost host;
  host.alias = name;
  host.port = sshds_.back()->port();
  host.identity_file = key.private_path;
  host.known_hosts = known_hosts();
  host.lines = lines;
  hosts_.push_back(host);
  known_ += sshds_.back()->known_hosts();
  return *sshds_.back();
}

inline AgentProcess& PasswordLab::start(const std::vector<std::string>& more,
                                        const Environment& environment) {
  directory_.write("known_hosts", known_);
  agent_ =
      std::make_unique<AgentProcess>(directory_.write("ssh_config", ssh_config_text(hosts_)), environment);
  agent_->run(more);
  return *agent_;
}

inline std::unique_ptr<OnTerminal> PasswordLab::on_terminal(std::vector<std::string> arguments,
                                                            const Environment& more) {
  arguments.insert(arguments.begin(), ctl_program());
  Environment env = agent_->environment();
  for (const auto& [name, value] : more) env[name] = value;
  return std::make_unique<OnTerminal>(arguments, env);
}

inline bool PasswordLab::ready(const std::string& host) {
  const auto status = agent_->host_status(host);
  return !status.is_null() && status.at("state") == "ready";
}

inline bool PasswordLab::has_clients(int count) {
  return eventually([&] { return agent_->status().at("agent").at("clients").get<int>() > count; });
}

}  // namespace jump::test
