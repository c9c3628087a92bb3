// What must not reach toml++ (3.3, 3.4): text at which its parser could do anything at all, or would not say
// where it gave up. Its table of Unicode spaces has holes, which text outside of comments can reach; its
// tables are destroyed recursively; and it takes for granted that a table header has a name. A slip of the
// editor must not end a running agent. Pure.
#pragma once

#include <optional>
#include <string_view>

#include "config/config_error.h"

namespace jump {

// The first such thing in `text`. Multi-line strings are refused with the rest: no setting has several lines,
// and without them it is simple to say what is inside of quotes.
std::optional<ConfigError> toml_hazard(std::string_view text);

}  // namespace jump
