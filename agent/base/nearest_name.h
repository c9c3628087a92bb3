// "Did you mean": the name out of a list that a mistyped one most likely stands for. Pure.
#pragma once

#include <span>
#include <string_view>

namespace jump {

// Empty when none is near: at most two edits away (letters changed, left out, put in, or neighbours swapped),
// or begun with what was typed.
std::string_view nearest_name(std::string_view typed, std::span<const std::string_view> names);

}  // namespace jump
