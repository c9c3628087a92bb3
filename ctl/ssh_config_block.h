// The lines of ssh_config that send hosts through the agent: a block between two marks, in a file whose other
// lines are the user's. Pure.
//
//   # >>> jumpagent >>> …
//   Host *.prod.example 10.20.* !bastion
//     ProxyCommand jumpctl proxy --fdpass --via bastion %h %p
//     ProxyUseFdpass yes
//   Host web1
//     ControlPath /run/user/1000/jumpagent/mux/%r@%n:%p
//     ControlMaster no
//   Host *
//   # <<< jumpagent <<<
//
// Invariants: the block ends with `Host *`, so that options that the file had before its first Host line are
// still everybody's; what is outside of the marks stays as it is, byte for byte.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace jump::ctl {

// One Host line and what holds for these hosts.
struct HostSection {
  std::vector<std::string> patterns;  // "!bastion" excepts
  std::vector<std::string> options;   // whole lines: "ProxyUseFdpass yes"
};

// What the `to` of a route comes to.
struct HostPatterns {
  std::vector<std::string> patterns;  // empty: nothing of it can be a Host line
  std::vector<std::string> left_out;  // for a person: "10.20.0.0/17: …"
};
HostPatterns host_patterns(const std::vector<std::string>& to);

// Through the agent. `program`: jumpctl, and how it finds the agent, ready for a shell.
std::vector<std::string> proxy_options(const std::string& program, const std::string& via);

// To the agent's sockets in `directory`, one for each user, host and port: %r@%n:%p. With %n alone, what
// another user or port is asked for would be the configured one's; %C is the same for hosts that are reached
// by different ways, and not the same in all versions of ssh. ControlMaster no, as ssh would make a master of
// its own there while no agent runs. Errors: kInvalid, a path that is too long for a socket, or cannot be
// written.
Result<std::vector<std::string>> mux_options(const std::string& directory);

// With its marks. `notes`: comments.
std::string ssh_config_block(const std::vector<HostSection>& sections, const std::vector<std::string>& notes);

// `text` with `block` in the place of the one that it has, or at its top. Errors: kInvalid, marks that are
// not one pair.
Result<std::string> with_block(std::string_view text, std::string_view block);

// Why it cannot stand in a Host line: it would be several words, or something else. Errors: kInvalid.
Status check_host_pattern(const std::string& pattern);
// All of a Host line's. Errors: kInvalid, also for exceptions alone, which fit nothing.
Status check_host_patterns(const std::vector<std::string>& patterns);

}  // namespace jump::ctl
