#include "ctl/print.h"

#include <fmt/core.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "ctl/table.h"

namespace jump::ctl {
namespace {

constexpr std::string_view kAnyTarget = "any target";
// One long name would put every row's other columns out of sight.
constexpr std::size_t kLongestName = 64;
constexpr std::size_t kLongestCommand = 60;
constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

struct CodePoint {
  char32_t value = 0;
  std::size_t size = 0;  // bytes; 0: not UTF-8
};

// The first code point of `text`, by the table of RFC 3629: no overlong forms, no surrogates.
CodePoint decode_utf8(std::string_view text) {
  const auto at = [&text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = at(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return {};
  char32_t value = lead & (0x7fU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0) != 0x80) return {};
    value = (value << 6) | (at(i) & 0x3fU);
  }
  constexpr std::array<char32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  const bool valid = value >= kSmallest.at(size) && value <= 0x10ffff && (value < 0xd800 || value > 0xdfff);
  return valid ? CodePoint{value, size} : CodePoint{};
}

bool is_harmless(char32_t c) {
  if (c < 0x20 || (c >= 0x7f && c <= 0x9f)) return false;
  const bool line_separator = c == 0x2028 || c == 0x2029;
  const bool bidirectional =
      c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
  return !line_separator && !bidirectional;
}

Colour colour_of(std::string_view state) {
  if (state == "ready" || state == "active" || state == "running") return Colour::kGreen;
  if (state == "idle") return Colour::kNone;
  if (state == "down" || state == "failed") return Colour::kRed;
  return Colour::kYellow;
}

// Seconds as an integer, whatever the other side sent.
std::uint64_t whole_seconds(double seconds) {
  constexpr double kMost = 1e10;  // 300 years
  return seconds > 0 ? static_cast<std::uint64_t>(std::min(seconds, kMost)) : 0;
}

std::string plural(std::uint64_t count, std::string_view unit) {
  return fmt::format("{} {}{}", count, unit, count == 1 ? "" : "s");
}

std::string count_or_blank(std::uint64_t count) { return count == 0 ? std::string() : std::to_string(count); }

void note_error(Table& table, const std::string& error, double age, bool serious) {
  if (error.empty()) return;
  table.add_note(Cell(fmt::format("last error, {}: {}", format_age(age), error),
                      serious ? Colour::kRed : Colour::kNone));
}

// What is not well, below its row. The targets of a dynamic one say more than its last error does.
void note_forward(Table& table, const proto::ForwardStatus& forward) {
  constexpr std::size_t kMostTargets = 5;  // the others: --json
  const bool active = forward.state == "active";
  const auto told = [&forward](const proto::TargetStatus& each) {
    return !each.error.empty() && forward.error.find(each.error) != std::string::npos;
  };
  if (std::none_of(forward.targets.begin(), forward.targets.end(), told))
    note_error(table, forward.error, forward.error_age, !active);
  const std::size_t shown = std::min(forward.targets.size(), kMostTargets);
  for (std::size_t i = 0; i < shown; ++i) {
    const proto::TargetStatus& each = forward.targets[i];
    const std::string times = each.refused > 1 ? fmt::format(" ({} times)", each.refused) : std::string();
    std::string_view error = each.error;
    if (error.starts_with(each.target + ": ")) error.remove_prefix(each.target.size() + 2);
    table.add_note(Cell(fmt::format("{}, {}{}: {}", each.target, format_age(each.error_age), times, error),
                        active ? Colour::kNone : Colour::kRed));
  }
  if (forward.targets.size() > shown)
    table.add_note(fmt::format("and {} more that could not be reached", forward.targets.size() - shown));
}

// "so far: timeouts 1, stalls 2": of counters that are zero on a good day, those that are not.
class Counts {
 public:
  explicit Counts(std::string_view when) : when_(when) {}
  void add(std::string_view what, std::uint64_t count) {
    if (count > 0) add(what, std::to_string(count));
  }
  void add(std::string_view what, const std::string& amount) {
    text_ += fmt::format("{} {} {}", text_.empty() ? ":" : ",", what, amount);
  }

  bool empty() const { return text_.empty(); }
  std::string text() const { return when_ + text_; }

 private:
  std::string when_;
  std::string text_;
};

// The agent's own bounds, how near they are and how often they were met. Nothing on a good day.
std::string render_agent_bounds(const proto::AgentStatus& agent) {
  constexpr double kLateEnough = 0.1;  // seconds; what a person who types would feel
  Counts now("now");
  if (agent.window_held > 0) {
    now.add("held for slow readers",
            format_bytes(agent.window_held) + " of " + format_bytes(agent.window_budget));
  }
  if (agent.loop_lag_max >= kLateEnough) now.add("loop lag up to", format_round_trip(agent.loop_lag_max));
  Counts past("so far");
  past.add("out of descriptors", agent.accept_pauses);
  past.add("clients too many", agent.clients_over_limit);
  past.add("clients that did not read", agent.clients_cut_off);
  past.add("clients paused", agent.requests_paused);
  past.add("sessions too many", agent.sessions_refused);
  past.add("peers of other users", agent.peers_turned_away);
  past.add("malformed requests", agent.protocol_errors);
  past.add("lines missing in the log", agent.log_lost);
  std::string out;
  if (!now.empty()) out += now.text() + "\n";
  if (!past.empty()) out += past.text() + "\n";
  return out;
}

std::string render_agent(const proto::AgentStatus& agent, Style style) {
  std::string descriptors = plural(agent.descriptors, "descriptor");
  if (agent.descriptor_limit > 0) {
    descriptors = fmt::format("{} of {} descriptors", agent.descriptors, agent.descriptor_limit);
  }
  std::string ending;
  if (agent.state != "running") {
    ending = coloured(sanitized(agent.state), Colour::kYellow, style.colour);
    if (agent.drain_left) ending += ", within " + format_duration(*agent.drain_left);
    ending += "\n";
  }
  const std::string state =
      agent.state_problem.empty()
          ? std::string()
          : coloured("state file: " + sanitized(agent.state_problem), Colour::kRed, style.colour) + "\n";
  return fmt::format("jumpagent {}, pid {}, up {}, {}, {}, {}\nsocket {}\n{}{}{}", sanitized(agent.version),
                     agent.pid, format_duration(agent.uptime), plural(agent.clients, "client"),
                     format_bytes(agent.memory), descriptors, sanitized(agent.socket), ending, state,
                     render_agent_bounds(agent));
}

// The same for a host, as notes below its row.
void note_bounds(Table& table, const proto::HostStatus& host) {
  Counts now("now");
  now.add("waiting for it", host.waiting);
  if (host.held_in > 0) now.add("held for slow readers", format_bytes(host.held_in));
  now.add("channels opening", host.channels_opening);
  now.add("closing", host.channels_closing);
  if (!now.empty()) table.add_note(Cell(now.text()));
  Counts past("so far");
  past.add("opens refused", host.opens_refused);
  past.add("opens timed out", host.opens_timed_out);
  past.add("window stalls", host.window_stalls);
  past.add("signals refused", host.signals_refused);
  if (host.window_growths > 0) past.add("largest window", format_bytes(host.largest_window));
  if (!past.empty()) table.add_note(Cell(past.text()));
}

}  // namespace

Style style_of(int descriptor) {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool wanted = no_colour == nullptr || *no_colour == '\0';
  const bool able = terminal != nullptr && std::string_view(terminal) != "dumb" && ::isatty(descriptor) == 1;
  winsize size = {};
  const bool known = ::isatty(descriptor) == 1 && ::ioctl(descriptor, TIOCGWINSZ, &size) == 0;
  return Style{wanted && able, known ? size.ws_col : std::size_t{0}};
}

std::string sanitized(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = decode_utf8(text);
    out.append(c.size > 0 && is_harmless(c.value) ? text.substr(0, c.size) : kReplacement);
    text.remove_prefix(std::max<std::size_t>(c.size, 1));
  }
  return out;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const CodePoint c = decode_utf8(text);
    if (c.size == 0) return false;
    text.remove_prefix(c.size);
  }
  return true;
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {  // not 1024: "1000 KiB" would be a digit wider
    value /= 1024;
    ++unit;
  }
  return value < 9.95 ? fmt::format("{:.1f} {}", value, kUnits.at(unit))
                      : fmt::format("{:.0f} {}", value, kUnits.at(unit));
}

std::string format_rate(double bytes) {
  constexpr double kMost = 1e18;  // whatever the other side sent
  return bytes >= 1 ? format_bytes(static_cast<std::uint64_t>(std::min(bytes, kMost))) + "/s" : std::string();
}

std::string format_duration(double seconds) {
  const std::uint64_t s = whole_seconds(seconds);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min", s / 60);
  if (s < 86400) return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
  return fmt::format("{} d {} h", s / 86400, s % 86400 / 3600);
}

std::string format_age(double seconds) {
  const std::uint64_t s = whole_seconds(seconds);
  if (s < 1) return "just now";
  if (s < 60) return plural(s, "second") + " ago";
  if (s < 3600) return plural(s / 60, "minute") + " ago";
  if (s < 86400) return plural(s / 3600, "hour") + " ago";
  return plural(s / 86400, "day") + " ago";
}

std::string format_round_trip(double seconds) {
  const double ms = std::isfinite(seconds) ? std::max(seconds * 1000, 0.0) : 0;
  if (ms > 0 && ms < 0.1) return "<0.1 ms";
  if (ms < 9.95) return fmt::format("{:.1f} ms", ms);
  if (ms < 999.5) return fmt::format("{:.0f} ms", ms);
  return fmt::format("{:.1f} s", ms / 1000);
}

std::string format_error(const proto::RpcError& error) {
  return sanitized(error.hint.empty() ? error.message : fmt::format("{}; {}", error.message, error.hint));
}

std::string format_host(const proto::HostStatus& host) {
  std::string out = fmt::format("{}: {}", host.host, host.state);
  if (!host.address.empty()) out += fmt::format(" ({})", host.address);
  if (host.state != "ready" && !host.error.empty()) out += ": " + host.error;
  if (host.unanswered) out += ": it has not answered for " + format_duration(*host.unanswered);
  return sanitized(out);
}

std::string format_forward(const proto::ForwardStatus& forward) {
  const bool there = forward.kind.starts_with("remote");
  const std::string_view target = forward.target.empty() ? kAnyTarget : forward.target;
  std::string out = there && !forward.via.empty()
                        ? fmt::format("{} on {} -> {}", forward.listen, forward.via, target)
                        : fmt::format("{} -> {}", forward.listen, target);
  if (!there && !forward.via.empty()) out += " via " + forward.via;
  if (!forward.via_rule.empty()) out += fmt::format(" ({})", forward.via_rule);
  out += forward.name.empty() ? fmt::format(" ({})", forward.id)
                              : fmt::format(" ({}, {})", forward.id, forward.name);
  if (const std::string marks = format_marks(forward); !marks.empty()) out += ", " + marks;
  if (forward.state != "active") {
    out += ": " + forward.state;
    if (!forward.error.empty()) out += ": " + forward.error;
  }
  return sanitized(out);
}

std::string format_marks(const proto::ForwardStatus& forward) {
  std::vector<std::string_view> marks;
  const bool everywhere = forward.listen.starts_with("*:") || forward.listen.starts_with("0.0.0.0:") ||
                          forward.listen.starts_with("[::]:");
  // The server does not say what it made of the bind address.
  const bool there = forward.kind.starts_with("remote");
  const std::string exposed =
      fmt::format("{}{}", everywhere ? "all interfaces" : "exposed", there ? " if GatewayPorts allows" : "");
  if (forward.exposed) marks.push_back(exposed);
  if (forward.persist) marks.push_back("persist");
  if (forward.held > 0) marks.push_back("held");
  return fmt::format("{}", fmt::join(marks, ", "));
}

// Of one that shares another's connection.
void note_members(Table& table, const proto::HostStatus& host) {
  const bool other = !host.same_as.empty() && host.same_as != host.serving;
  if (!host.members.empty()) {
    const std::string all = fmt::format("{}", fmt::join(host.members, ", "));
    table.add_note(host.serving.empty() ? "one of " + all : host.serving + " serves, one of " + all);
  }
  if (other) table.add_note("the same connection as " + host.same_as);
}

std::string render_hosts(const std::vector<proto::HostStatus>& hosts, Style style) {
  if (hosts.empty()) return "no hosts are connected\n";
  Table table({"HOST", "STATE", "FOR", "ADDRESS", "RTT", "CHANNELS", "IN", "OUT", "QUEUED", "LOGINS"},
              {"LOGINS", "QUEUED", "OUT", "IN", "FOR", "CHANNELS"});
  for (const proto::HostStatus& host : hosts) {
    const bool ready = host.state == "ready";
    table.add_row({shortened(host.host, kLongestName), Cell(host.state, colour_of(host.state)),
                   format_duration(host.age), shortened(host.address, kLongestName),
                   host.rtt ? format_round_trip(*host.rtt) : std::string(), std::to_string(host.channels),
                   format_bytes(host.bytes_in), format_bytes(host.bytes_out),
                   host.queued_out == 0 ? std::string() : format_bytes(host.queued_out),
                   std::to_string(host.logins)});
    note_error(table, host.error, host.error_age, !ready);
    if (host.unanswered) table.add_note("has not answered for " + format_duration(*host.unanswered));
    if (!host.via.empty()) table.add_note("through " + host.via);
    if (host.lanes == 1) table.add_note("a second connection carries part of it");
    if (host.lanes > 1) table.add_note(fmt::format("{} further connections carry part of it", host.lanes));
    note_members(table, host);
    if (!host.warning.empty()) table.add_note(host.warning);
    for (const std::string& line : host.ignored) table.add_note("ssh_config: " + line);
    note_bounds(table, host);
  }
  return table.render(style.colour, style.line);
}

std::string render_forwards(const std::vector<proto::ForwardStatus>& forwards, Style style) {
  if (forwards.empty()) return "no forwards\n";
  Table table({"ID", "NAME", "KIND", "LISTEN", "TARGET", "VIA", "STATE", "FOR", "OPEN", "TOTAL", "REFUSED",
               "IN", "OUT", "RATE IN", "RATE OUT", "MARKS"},
              {"TOTAL", "OUT", "IN", "FOR", "RATE OUT", "REFUSED", "RATE IN", "OPEN", "KIND"});
  for (const proto::ForwardStatus& forward : forwards) {
    table.add_row({forward.id, forward.name, forward.kind, forward.listen,
                   forward.target.empty() ? std::string(kAnyTarget) : forward.target, forward.via,
                   Cell(forward.state, colour_of(forward.state)), format_duration(forward.age),
                   std::to_string(forward.connections), std::to_string(forward.connections_total),
                   count_or_blank(forward.refused), format_bytes(forward.bytes_in),
                   format_bytes(forward.bytes_out), format_rate(forward.rate_in),
                   format_rate(forward.rate_out),
                   Cell(format_marks(forward), forward.exposed ? Colour::kYellow : Colour::kNone)});
    note_forward(table, forward);
  }
  return table.render(style.colour, style.line);
}

std::string render_sessions(const std::vector<proto::SessionStatus>& sessions, Style style) {
  Table table({"SESSION", "KIND", "HOST", "WHAT", "STATE", "FOR", "IN", "OUT"}, {"OUT", "IN", "FOR", "KIND"});
  for (const proto::SessionStatus& each : sessions) {
    table.add_row({each.id, each.kind, shortened(each.host, kLongestName),
                   shortened(sanitized(each.what), kLongestCommand), Cell(each.state, colour_of(each.state)),
                   format_duration(each.age), format_bytes(each.bytes_in), format_bytes(each.bytes_out)});
  }
  return sessions.empty() ? std::string() : "\n" + table.render(style.colour, style.line);
}

std::string render_interactions(const std::vector<proto::InteractionStatus>& interactions, Style style) {
  Table table({"QUESTION", "KIND", "HOST", "ASKED BY", "FOR", "TAKEN"});
  for (const proto::InteractionStatus& each : interactions) {
    table.add_row(
        {each.id, each.kind, each.host, each.hop, format_duration(each.age), each.claimed ? "yes" : "no"});
  }
  return interactions.empty() ? std::string() : "\n" + table.render(style.colour, style.line);
}

std::string render_status(const proto::StatusResult& status, Style style) {
  return fmt::format("{}\n{}\n{}{}{}", render_agent(status.agent, style), render_hosts(status.hosts, style),
                     render_forwards(status.forwards, style), render_sessions(status.sessions, style),
                     render_interactions(status.interactions, style));
}

}  // namespace jump::ctl
