// The usual scene: one bastion (a stock sshd), a user with a key to it, an ssh_config that calls it
// "bastion", and the agent, started when it is first asked for.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "support/agent_process.h"
#include "support/key_pair.h"
#include "support/ssh_agent.h"
#include "support/ssh_config.h"
#include "support/sshd.h"
#include "support/temp_dir.h"

namespace jump::test {

// A connection waits for its bastion for so long that no slow machine keeps it from being served.
inline constexpr const char* kPatientConfig = "[timeouts]\nbastion = \"60s\"\n";

struct LabOptions {
  SshdOptions sshd = {};
  KeyKind user_key = KeyKind::kEd25519;
  bool key_in_ssh_agent = false;               // else it is an IdentityFile
  std::vector<std::string> config_lines = {};  // for the alias "bastion"
  std::vector<SshConfigHost> other_hosts = {};
  std::string agent_config = {};  // of what agent() starts; empty: no file
};

class Lab {
 public:
  static constexpr const char* kBastion = "bastion";

  explicit Lab(LabOptions options = {});

  Sshd& sshd() { return sshd_; }
  const std::string& ssh_config() const { return ssh_config_; }
  const std::string& known_hosts() const { return known_hosts_; }
  const TempDir& directory() const { return directory_; }
  // Running; `jumpagent run` unless the test started it otherwise through cold_agent().
  AgentProcess& agent();
  // Not started by this call.
  AgentProcess& cold_agent();

 private:
  TempDir directory_;
  Sshd sshd_;
  SshAgent ssh_agent_;
  std::string known_hosts_;
  std::string ssh_config_;
  std::vector<std::string> agent_options_;
  std::unique_ptr<AgentProcess> agent_;
  bool started_ = false;
};

// The Host block that leads to `sshd` with `key`.
SshConfigHost host_for(const std::string& alias, const Sshd& sshd, const KeyPair& key,
                       const std::string& known_hosts);

}  // namespace jump::test
