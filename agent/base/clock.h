// Time as the code sees it. Sans-IO objects never ask for the time: it is a parameter, so tests own it.
#pragma once

#include <chrono>

namespace jump {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Before anything that happened; differences to it do not overflow.
inline constexpr TimePoint kLongAgo{Duration::min() / 4};

inline double to_seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace jump
