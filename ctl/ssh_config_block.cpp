#include "ctl/ssh_config_block.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstdint>
#include <optional>

#include "base/printable.h"
#include "base/shell_quoted.h"

namespace jump::ctl {
namespace {

constexpr std::string_view kBegin = "# >>> jumpagent >>>";
constexpr std::string_view kEnd = "# <<< jumpagent <<<";
// Of Host patterns that stand for one network, as 16 do for 172.16.0.0/12; more would be unreadable.
constexpr unsigned kMostPatterns = 16;
constexpr unsigned kSshPort = 22;
constexpr std::string_view kTokens = "%r@%n:%p";
constexpr std::size_t kNameLength = 40;  // room for what they come to; the agent says when it is not enough

std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = failed == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(value) : std::nullopt;
}

// A pattern of the agent's config file, which has checked it.
struct Destination {
  bool negated = false;
  std::string host;  // name with wildcards, address, or network
  std::string ports;

  explicit Destination(std::string_view text) {
    negated = text.starts_with('!');
    if (negated) text.remove_prefix(1);
    const std::size_t bracket = text.starts_with('[') ? text.find(']') : std::string_view::npos;
    const std::size_t colon = bracket != std::string_view::npos   ? text.find(':', bracket)
                              : text.find(':') == text.rfind(':') ? text.find(':')
                                                                  : std::string_view::npos;
    if (colon != std::string_view::npos) ports = text.substr(colon + 1);
    host = text.substr(0, colon);
    if (bracket != std::string_view::npos) host = host.substr(1, bracket - 1);
  }

  bool is_for_ssh() const {
    if (ports.empty() || ports == "*") return true;
    const std::size_t dash = ports.find('-');
    const std::optional<unsigned> low = number(std::string_view(ports).substr(0, dash));
    const std::optional<unsigned> high =
        dash == std::string::npos ? low : number(std::string_view(ports).substr(dash + 1));
    return low && high && *low <= kSshPort && kSshPort <= *high;
  }
};

// "10.20.0.0/14" → 10.20.* 10.21.* 10.22.* 10.23.*; none where that is no small number of patterns.
std::optional<std::vector<std::string>> network_patterns(const std::string& network) {
  const std::size_t slash = network.find('/');
  std::array<std::uint8_t, 4> address{};
  const std::optional<unsigned> bits = number(std::string_view(network).substr(slash + 1));
  if (!bits || *bits > 32 || inet_pton(AF_INET, network.substr(0, slash).c_str(), address.data()) != 1)
    return std::nullopt;
  if (*bits == 0) return std::vector<std::string>{"*.*.*.*"};
  const unsigned octets = (*bits + 7) / 8;  // that are written, the last of them in `count` values
  const unsigned count = 1U << (octets * 8 - *bits);
  if (count > kMostPatterns) return std::nullopt;
  std::string prefix;
  for (unsigned i = 0; i + 1 < octets; ++i) prefix += fmt::format("{}.", address.at(i));
  std::vector<std::string> patterns;
  for (unsigned i = 0; i < count; ++i)
    patterns.push_back(fmt::format("{}{}{}", prefix, address.at(octets - 1) + i, octets < 4 ? ".*" : ""));
  return patterns;
}

bool is_network(const std::string& host) { return host.find('/') != std::string::npos; }

std::string quoted_for_config(const std::string& word) {
  std::string out;
  for (const char c : shell_quoted(word)) out += c == '%' ? std::string("%%") : std::string(1, c);
  return out;
}

// Where lines that are marks begin and end.
struct Marks {
  std::size_t begins = 0, ends = 0;  // how many
  std::size_t first = 0;             // where the begin is
  std::size_t behind = 0;            // the end's line, its newline included
  bool in_order = true;
};

Marks find_marks(std::string_view text) {
  Marks marks;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t newline = text.find('\n', at);
    const std::size_t next = newline == std::string_view::npos ? text.size() : newline + 1;
    std::string_view line = text.substr(at, next - at);
    line.remove_prefix(
        std::min(line.find_first_not_of(" \t"), line.size()));  // who moved it may have indented it
    if (line.starts_with(kBegin)) {
      marks.in_order = marks.in_order && marks.ends == marks.begins;
      marks.begins++;
      marks.first = at;
    } else if (line.starts_with(kEnd)) {
      marks.ends++;
      marks.in_order = marks.in_order && marks.ends == marks.begins;
      marks.behind = next;
    }
    at = next;
  }
  return marks;
}

}  // namespace

HostPatterns host_patterns(const std::vector<std::string>& to) {
  HostPatterns out;
  std::vector<std::string> excepted;
  bool any = false;
  for (const std::string& text : to) {
    const Destination destination(text);
    if (!destination.is_for_ssh()) {
      if (!destination.negated) out.left_out.push_back(text + ": not the port of ssh");
      continue;
    }
    std::optional<std::vector<std::string>> patterns = std::vector<std::string>{destination.host};
    if (is_network(destination.host)) patterns = network_patterns(destination.host);
    if (!patterns && destination.negated) {
      // Its hosts would go where they must not.
      return {{}, {fmt::format("{}: {} cannot be written as a Host pattern", fmt::join(to, " "), text)}};
    }
    if (!patterns) {
      out.left_out.push_back(text + ": cannot be written as a Host pattern");
      continue;
    }
    any = any || !destination.negated;
    for (const std::string& pattern : *patterns) {
      if (destination.negated) {
        excepted.push_back("!" + pattern);
      } else {
        out.patterns.push_back(pattern);
      }
    }
  }
  if (any) out.patterns.insert(out.patterns.end(), excepted.begin(), excepted.end());
  return out;
}

std::vector<std::string> proxy_options(const std::string& program, const std::string& via) {
  return {fmt::format("ProxyCommand {} proxy --fdpass --via {} %h %p", program, quoted_for_config(via)),
          "ProxyUseFdpass yes"};
}

Result<std::vector<std::string>> mux_options(const std::string& directory) {
  if (directory.size() + 1 + kNameLength >= sizeof(sockaddr_un::sun_path)) {
    return Error{Errc::kInvalid, fmt::format("{}: too long for sockets in it", directory),
                 "give the agent's control socket a shorter path: jumpagent --socket"};
  }
  const bool odd =
      std::any_of(directory.begin(), directory.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; });
  if (odd || directory.find("${") != std::string::npos)
    return Error{Errc::kInvalid,
                 fmt::format("{}: ssh_config has no way to write this path", printable(directory, PATH_MAX)),
                 {}};
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.,:+@%-";
  std::string path;
  for (const char c : directory + "/") {
    if (c == '%') path += '%';
    if (c == '"' || c == '\\') path += '\\';
    path += c;
  }
  path += kTokens;
  if (path.find_first_not_of(kPlain) != std::string::npos) path = "\"" + path + "\"";
  return std::vector<std::string>{"ControlPath " + path, "ControlMaster no"};
}

std::string ssh_config_block(const std::vector<HostSection>& sections,
                             const std::vector<std::string>& notes) {
  std::string out = fmt::format("{} made by 'jumpctl ssh-config', which replaces it\n", kBegin);
  for (const std::string& note : notes) out += fmt::format("# {}\n", note);
  for (const HostSection& section : sections) {
    out += fmt::format("Host {}\n", fmt::join(section.patterns, " "));
    for (const std::string& option : section.options) out += fmt::format("  {}\n", option);
  }
  return out + fmt::format("Host *\n{}\n", kEnd);
}

Result<std::string> with_block(std::string_view text, std::string_view block) {
  const Marks marks = find_marks(text);
  if (marks.begins == 0 && marks.ends == 0) {
    return std::string(block) + (text.empty() ? "" : "\n") + std::string(text);
  }
  if (marks.begins != 1 || marks.ends != 1 || !marks.in_order) {
    const std::string_view what = marks.ends < marks.begins   ? "begins and has no end"
                                  : marks.begins < marks.ends ? "ends and has no beginning"
                                                              : "is there more than once";
    return Error{Errc::kInvalid, fmt::format("the block of jumpagent {}", what),
                 fmt::format("remove what is left of it by hand: from '{}' to '{}'", kBegin, kEnd)};
  }
  return std::string(text.substr(0, marks.first)) + std::string(block) +
         std::string(text.substr(marks.behind));
}

Status check_host_patterns(const std::vector<std::string>& patterns) {
  for (const std::string& pattern : patterns) {
    if (Status good = check_host_pattern(pattern); !good.ok()) return good;
  }
  const auto excepts = [](const std::string& pattern) { return pattern.starts_with('!'); };
  if (patterns.empty() || !std::all_of(patterns.begin(), patterns.end(), excepts)) return {};
  return Error{Errc::kInvalid, fmt::format("{}: exceptions alone fit no host", fmt::join(patterns, " ")),
               "name what they are exceptions of, too: '*.prod.example' '!db7.prod.example'"};
}

Status check_host_pattern(const std::string& pattern) {
  const bool odd = std::any_of(pattern.begin(), pattern.end(), [](char c) {
    return (c >= 0 && c <= ' ') || c == 0x7f ||
           std::string_view("\"'#\\,=").find(c) != std::string_view::npos;
  });
  if (!pattern.empty() && pattern != "!" && !odd) return {};
  return Error{Errc::kInvalid, fmt::format("'{}' is no pattern for a Host line", pattern),
               "as in ssh_config(5): *.prod.example, db?, !db7; several are several arguments"};
}

}  // namespace jump::ctl
