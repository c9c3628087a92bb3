// The notification "event" for many subscriptions: its JSON is made once, and numbered for each of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/messages.h"

namespace jump::proto {

// The members of the notification's params without `seq`, as JSON text.
std::string encode_event_members(const Event& event);

// The line that encode_notification(kEvent, …) makes of the same event with that `seq`, but for the order of
// its members.
std::string event_line(std::uint64_t seq, std::string_view members);

}  // namespace jump::proto
