// Durations and sizes as the config file writes them: "10s", "500ms", "2m"; "512MiB". Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace jump {

// A whole number and one of ms, s, m, h. Errors: kInvalid, with the right form as the hint.
Result<Duration> parse_duration(std::string_view text);
// A whole number and one of B, KiB, MiB, GiB. Errors as above.
Result<std::uint64_t> parse_size(std::string_view text);

// As parse_duration() and parse_size() take them, in the largest unit without a remainder.
std::string duration_text(Duration duration);
std::string size_text(std::uint64_t bytes);

}  // namespace jump
