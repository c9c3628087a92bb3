#include "support/lab.h"

namespace jump::test {

SshConfigHost host_for(const std::string& alias, const Sshd& sshd, const KeyPair& key,
                       const std::string& known_hosts) {
  SshConfigHost host{alias, sshd.port()};
  host.user = sshd.user();
  host.identity_file = key.private_path;
  host.known_hosts = known_hosts;
  return host;
}

Lab::Lab(LabOptions options) : sshd_(options.sshd) {
  const KeyPair& key = user_key(options.user_key);
  sshd_.authorize(key);
  known_hosts_ = directory_.write("known_hosts", sshd_.known_hosts());

  SshConfigHost bastion = host_for(kBastion, sshd_, key, known_hosts_);
  bastion.lines = options.config_lines;
  if (options.key_in_ssh_agent) {
    ssh_agent_.add(key);
    bastion.identity_file.clear();
    bastion.identity_agent = ssh_agent_.socket();
  }
  std::vector<SshConfigHost> hosts = {bastion};
  hosts.insert(hosts.end(), options.other_hosts.begin(), options.other_hosts.end());
  ssh_config_ = directory_.write("ssh_config", ssh_config_text(hosts));
  if (!options.agent_config.empty())
    agent_options_ = {"-c", directory_.write("agent.toml", options.agent_config)};
}

AgentProcess& Lab::cold_agent() {
  if (!agent_) agent_ = std::make_unique<AgentProcess>(ssh_config_);
  started_ = true;
  return *agent_;
}

AgentProcess& Lab::agent() {
  const bool start = !started_;
  AgentProcess& agent = cold_agent();
  if (start) agent.run(agent_options_);
  return agent;
}

}  // namespace jump::test
