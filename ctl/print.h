// What people read: tables, sizes, times, errors. Everything here makes text from values and is pure; whoever
// calls writes it to stdout or stderr. Text that came from elsewhere (servers, other programs) is made safe
// for a terminal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "proto/messages.h"

namespace jump::ctl {

struct Style {
  bool colour = false;
  std::size_t line = 0;  // columns of the terminal; 0: it is none, or does not tell
};
// Colour only on a terminal that can show it, and unless $NO_COLOR is set (no-color.org).
Style style_of(int descriptor);

// What can be said to the agent as it is: JSON knows no other text.
bool is_utf8(std::string_view text);
// Control characters (C0, DEL, C1), bidirectional overrides and bytes that are not UTF-8 become U+FFFD.
std::string sanitized(std::string_view text);

std::string format_bytes(std::uint64_t bytes);  // "0 B", "1.5 KiB", "14 MiB"
std::string format_rate(double bytes);          // per second: "1.5 MiB/s"; empty when nothing moves
std::string format_duration(double seconds);    // "12 s", "5 min", "3 h 12 min", "2 d 4 h"
std::string format_age(double seconds);         // "just now", "1 minute ago", "3 hours ago"
std::string format_round_trip(double seconds);  // "0.4 ms", "12 ms", "1.5 s"

// One line each, without a newline.
std::string format_error(const proto::RpcError& error);           // "MESSAGE; HINT"
std::string format_host(const proto::HostStatus& host);           // "prod: ready (deploy@10.0.0.5:22)"
// "127.0.0.1:8080 -> svc:80 via prod (f1)", "127.0.0.1:9000 on prod -> localhost:3000 (f2)",
// "127.0.0.1:1080 -> any target via prod (f3)"
std::string format_forward(const proto::ForwardStatus& forward);
// What is not as usual with it: "all interfaces, persist"; empty: nothing.
std::string format_marks(const proto::ForwardStatus& forward);

// Complete texts, each line ending in '\n'.
std::string render_hosts(const std::vector<proto::HostStatus>& hosts, Style style);
std::string render_forwards(const std::vector<proto::ForwardStatus>& forwards, Style style);
// These two begin with an empty line, and are empty when there is none.
std::string render_sessions(const std::vector<proto::SessionStatus>& sessions, Style style);
std::string render_interactions(const std::vector<proto::InteractionStatus>& interactions, Style style);
std::string render_status(const proto::StatusResult& status, Style style);

}  // namespace jump::ctl
