// What can be told of a hop before anybody is dialled: its known_hosts files, its keys and certificates.
//
// Blocks, as it reads files: for a pool thread. Nothing is asked for, so an encrypted key stays closed. What
// is wrong with a file is a suspect (findings.h): the login may do without it.
#pragma once

#include <ctime>
#include <vector>

#include "auth/agent_protocol.h"
#include "base/result.h"
#include "doctor/findings.h"
#include "hop/hop_spec.h"

namespace jump {

using AgentAnswer = Result<std::vector<AgentIdentity>>;  // of ssh-agent

void check_known_hosts(const HopSpec& spec, Findings& findings);
// `environment_names_one`: $SSH_AUTH_SOCK is set for jumpagent.
void check_agent(const HopSpec& spec, const AgentAnswer& answer, bool environment_names_one,
                 Findings& findings);
void check_identities(const HopSpec& spec, const AgentAnswer& answer, std::time_t now, Findings& findings);

// What to do about an agent at `socket` that did not answer.
std::string ssh_agent_advice(const Error& error, const std::string& socket);
// "2 keys: SHA256:… me@laptop, SHA256:… deploy"
std::string describe_agent_keys(const std::vector<AgentIdentity>& keys);

}  // namespace jump
