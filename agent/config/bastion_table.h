// The table [bastion] of the config file: names that stand for several hosts, any of which will do.
//
//   [bastion]   prod = ["jump1", "jump2"]   all = ["prod", "jump3"]
//
// A name among the members that is a bastion itself stands for its members, in its place. Pure.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "config/agent_config.h"
#include "config/toml_value.h"

namespace jump {

// More members are no help: each may cost a stagger before somebody is refused.
inline constexpr std::size_t kMaxBastionMembers = 16;
inline constexpr std::size_t kMaxBastions = 256;

// By name, each with its hosts in the file's order, none twice. What is wrong goes to `errors`.
AgentConfig::Bastions read_bastions(const TomlValue& table, ConfigErrors& errors);

}  // namespace jump
