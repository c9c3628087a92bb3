#include "hop/hop_spec.h"

namespace jump {

std::string HopSpec::address() const {
  bool v6 = host.find(':') != std::string::npos;
  return user + "@" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string HopSpec::describe() const {
  return user.empty() ? alias
                      : alias + " (" + address() + ")";  // several hosts: a bastion of the config file
}

bool HopSpec::same_connection(const HopSpec& other) const {
  HopSpec renamed = other;
  renamed.alias = alias;
  renamed.ssh_command = ssh_command;
  renamed.connect_command = connect_command;
  renamed.proxy_jump = proxy_jump;
  renamed.forward_agent = forward_agent;
  renamed.request_tty = request_tty;
  renamed.remote_command = remote_command;
  renamed.session_type = session_type;
  renamed.stdin_null = stdin_null;
  renamed.fork_after_authentication = fork_after_authentication;
  renamed.escape_char = escape_char;
  renamed.send_env = send_env;
  renamed.set_env = set_env;
  renamed.offered_forwards = offered_forwards;
  renamed.ignored = ignored;
  return *this == renamed;
}

}  // namespace jump
