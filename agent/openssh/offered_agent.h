// Which ssh-agent a client of the multiplexing sockets offers with `-A`. Its request names none; an OpenSSH
// master goes by its own configuration and environment, and we by the host's ssh_config and the client's
// environment. Pure.
#pragma once

#include <string>
#include <string_view>

namespace jump {

// The agent's socket; empty: there is none. `forward_agent`, `identity_agent`: as HopSpec has them
// (forward_agent and forwarded_agent). `environment`: of the client, "NAME=VALUE\0…". In this order: a path
// or variable of ForwardAgent; IdentityAgent, of which "none" means none; SSH_AUTH_SOCK.
std::string offered_agent(const std::string& forward_agent, const std::string& identity_agent,
                          std::string_view environment);

// SSH_AUTH_SOCK there; empty: there is none.
std::string ssh_agent_of(std::string_view environment);

}  // namespace jump
