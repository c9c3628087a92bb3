// What a person writes for a forward, as the agent takes it: names of services are looked up here, and a path
// of this machine is made absolute, as the agent's directory is not the person's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "proto/spec.h"

namespace jump::ctl {

// As parse_forward_specs(). `directory`: where relative paths begin; empty: they stay relative.
Result<std::vector<proto::ForwardSpec>> specs_here(proto::ForwardKind kind, std::string_view text,
                                                   const std::string& directory);
// Empty when it cannot be told.
std::string working_directory();

}  // namespace jump::ctl
