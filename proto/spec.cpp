// The text is cut into fields at colons first (Splitter), as ssh does; what the fields mean follows from how
// many there are and which of them are paths.
#include "proto/spec.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netdb.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "proto/socket_path.h"

namespace jump::proto {
namespace {

// More than any valid spec needs: two hosts of kMaxHost, or two paths of kMaxSocketPath, and ports.
constexpr std::size_t kMaxSpec = 1024;
constexpr std::size_t kMaxHost = 255;  // RFC 1035 section 2.3.4
constexpr std::size_t kMaxFields = 4;
constexpr const char* kHint =
    "write [bind:]port:host:port, for example 8080:svc:80; /path stands for a Unix socket on either side; "
    "IPv6 addresses go in brackets";
constexpr const char* kRemoteHint =
    "write [bind:]port:host:port, the server's port first, or [bind:]port for a proxy there; /path stands for "
    "a Unix socket on either side; IPv6 addresses go in brackets";
constexpr const char* kDynamicHint = "write [bind:]port, for example 1080, or the /path of a Unix socket";

const char* hint_for(ForwardKind kind) {
  if (kind == ForwardKind::kLocal) return kHint;
  return kind == ForwardKind::kDynamic ? kDynamicHint : kRemoteHint;
}

struct Field {
  std::string text;
  bool is_path = false;
};
using Fields = std::vector<Field>;

// parse_forward_specs() adds the hint.
Error wrong(std::string what) { return Error{Errc::kInvalid, std::move(what), {}}; }

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

class Splitter {
 public:
  explicit Splitter(std::string_view text) : text_(text) {}

  Result<Fields> split() {
    Fields fields;
    while (true) {
      if (fields.size() == kMaxFields) {
        return wrong(fmt::format("more than {} fields between colons", kMaxFields));
      }
      Result<Field> field = at_bracket() ? bracketed() : plain();
      if (!field.ok()) return field.error();
      fields.push_back(*std::move(field));
      if (text_.empty()) return fields;
      text_.remove_prefix(1);  // the colon
    }
  }

 private:
  bool at_bracket() const { return text_.starts_with('['); }

  Result<Field> bracketed() {
    const std::size_t end = text_.find(']');
    if (end == std::string_view::npos) return wrong("'[' without ']'");
    Field field{std::string(text_.substr(1, end - 1)), false};
    field.is_path = field.text.find('/') != std::string::npos;
    text_.remove_prefix(end + 1);
    if (!text_.empty() && text_.front() != ':') return wrong("something other than ':' follows ']'");
    return field;
  }

  Result<Field> plain() {
    Field field;
    while (!text_.empty() && text_.front() != ':') {
      char c = text_.front();
      text_.remove_prefix(1);
      if (c == '\\') {
        if (text_.empty()) return wrong("nothing follows the backslash");
        c = text_.front();
        text_.remove_prefix(1);
      } else if (c == '/') {
        field.is_path = true;
      }
      field.text.push_back(c);
    }
    return field;
  }

  std::string_view text_;
};

// Consecutive ports; mostly one.
struct Ports {
  std::uint16_t first = 0;
  std::size_t count = 1;
};

std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || end != text.data() + text.size()) return std::nullopt;
  return error == std::errc() ? number : UINT32_MAX;
}

Result<std::uint16_t> check_port(std::string_view text, std::uint32_t number) {
  if (number <= 65535) return static_cast<std::uint16_t>(number);
  return wrong(fmt::format("port {} is not in 0..65535", text));
}

// Null: not digits-digits. A service's name may have a dash, too.
std::optional<Result<Ports>> parse_range(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto low = parse_number(text.substr(0, dash));
  const auto high = parse_number(text.substr(dash + 1));
  if (!low || !high) return std::nullopt;
  for (const std::uint32_t each : {*low, *high}) {
    if (auto port = check_port(text, each); !port.ok()) return port.error();
  }
  if (*low == 0) return wrong(fmt::format("the range {} begins with port 0", text));
  if (*high < *low) return wrong(fmt::format("the range {} ends before it begins", text));
  const std::size_t count = *high - *low + 1;
  if (count > kMaxPortRange)
    return wrong(fmt::format("the range {} has more than {} ports", text, kMaxPortRange));
  return Ports{static_cast<std::uint16_t>(*low), count};
}

Result<Ports> parse_ports(const std::string& text, const ServicePort& services) {
  if (text.empty()) return wrong("a port is missing");
  if (const auto number = parse_number(text)) {
    Result<std::uint16_t> port = check_port(text, *number);
    if (!port.ok()) return port.error();
    return Ports{*port, 1};
  }
  if (auto range = parse_range(text)) return *std::move(range);
  const bool name_like =
      std::none_of(text.begin(), text.end(), [](char c) { return is_space(c) || is_control(c); });
  if (const auto port = name_like ? services(text) : std::nullopt) return Ports{*port, 1};
  return wrong(fmt::format("'{}' is neither a port number nor the name of a service", text));
}

Result<Ports> parse_target_ports(const std::string& text, const ServicePort& services) {
  Result<Ports> ports = parse_ports(text, services);
  if (ports.ok() && ports->first == 0) return wrong("the target's port is not in 1..65535");
  return ports;
}

// An end of as many forwards as it has ports.
struct Ends {
  ForwardEnd first;
  std::size_t count = 1;
};

Status check_host(const std::string& host, std::string_view whose) {
  if (host.size() > kMaxHost) return wrong(fmt::format("{} has more than {} bytes", whose, kMaxHost));
  const auto bad = [](char c) {
    return is_space(c) || is_control(c) || c == '/' || c == '[' || c == ']' || c == '\\';
  };
  if (std::any_of(host.begin(), host.end(), bad)) {
    return wrong(fmt::format("{} '{}' has a character that no host name has", whose, host));
  }
  return {};
}

Result<Ends> path_end(const std::string& path) {
  if (path.size() > kMaxSocketPath) {
    return wrong(fmt::format("a socket's path has more than {} bytes", kMaxSocketPath));
  }
  if (std::any_of(path.begin(), path.end(), is_control))
    return wrong("a socket's path has a control character");
  if (trimmed(path) != path) return wrong("a socket's path begins or ends with a space");
  return Ends{{{}, 0, path}, 1};
}

// `bind` is null when there is no such field.
Result<Ends> listen_end(const Field* bind, const Field& port_field, const ServicePort& services) {
  ForwardEnd end;
  if (bind != nullptr) {
    end.host = bind->text.empty() ? "*" : bind->text;
    if (Status status = check_host(end.host, "the bind address"); !status.ok()) return status.error();
  }
  Result<Ports> ports = parse_ports(port_field.text, services);
  if (!ports.ok()) return ports.error().context("listening port");
  end.port = ports->first;
  return Ends{std::move(end), ports->count};
}

Result<Ends> target_end(const Field& host, const Field& port_field, const ServicePort& services) {
  if (host.is_path) return wrong(fmt::format("the path {} has a port behind it", host.text));
  if (host.text.empty()) return wrong("the target's host is missing");
  if (Status status = check_host(host.text, "the target's host"); !status.ok()) return status.error();
  Result<Ports> ports = parse_target_ports(port_field.text, services);
  if (!ports.ok()) return ports.error().context("target port");
  return Ends{{host.text, ports->first, {}}, ports->count};
}

using Specs = std::vector<ForwardSpec>;

// The Nth of a range of ports listens for the Nth of the other.
Result<Specs> combine(ForwardKind kind, Result<Ends> listen, Result<Ends> target) {
  if (!listen.ok()) return listen.error();
  if (!target.ok()) return target.error();
  const std::size_t count = std::max(listen->count, target->count);
  if (listen->count != target->count) {
    return wrong(fmt::format("{} and {} ports do not go together: both ends need a range of the same length",
                             listen->count, target->count));
  }
  Specs specs;
  for (std::size_t i = 0; i < count; ++i) {
    ForwardSpec spec{kind, listen->first, target->first};
    spec.listen.port = static_cast<std::uint16_t>(spec.listen.port + i);
    spec.target->port = static_cast<std::uint16_t>(spec.target->port + i);
    specs.push_back(std::move(spec));
  }
  return specs;
}

Result<Specs> dynamic(ForwardKind kind, Result<Ends> listen) {
  if (!listen.ok()) return listen.error();
  if (listen->count > 1) return wrong("a range of ports is not for a proxy: one port serves every target");
  return Specs{ForwardSpec{kind, listen->first, std::nullopt}};
}

// [bind:]port or /path alone.
bool is_listen_only(const Fields& f) {
  return f.size() == 1 || (f.size() == 2 && !f[0].is_path && !f[1].is_path);
}

Result<Specs> interpret_dynamic(ForwardKind kind, const Fields& f, const ServicePort& services) {
  if (!is_listen_only(f)) return wrong("a dynamic forward has no target: its clients name theirs");
  if (f.size() == 2) return dynamic(kind, listen_end(&f[0], f[1], services));
  return dynamic(kind, f[0].is_path ? path_end(f[0].text) : listen_end(nullptr, f[0], services));
}

Result<Specs> interpret_fixed(ForwardKind kind, const Fields& f, const ServicePort& services) {
  const auto path_at = [&f](std::size_t i) { return i < f.size() && f[i].is_path; };
  const auto with = [kind](Result<Ends> listen, Result<Ends> target) {
    return combine(kind, std::move(listen), std::move(target));
  };
  if (f.size() == 2 && path_at(0) && path_at(1)) return with(path_end(f[0].text), path_end(f[1].text));
  if (f.size() == 2 && path_at(1)) return with(listen_end(nullptr, f[0], services), path_end(f[1].text));
  if (f.size() == 3 && path_at(0)) return with(path_end(f[0].text), target_end(f[1], f[2], services));
  if (f.size() == 3 && path_at(2)) return with(listen_end(&f[0], f[1], services), path_end(f[2].text));
  if (f.size() == 3) return with(listen_end(nullptr, f[0], services), target_end(f[1], f[2], services));
  if (f.size() == 4) {
    if (f[3].text.empty()) return wrong("nothing follows the last ':'");
    if (path_at(0)) return wrong(fmt::format("the path {} is followed by one field too many", f[0].text));
    return with(listen_end(&f[0], f[1], services), target_end(f[2], f[3], services));
  }
  return wrong(f.size() == 1 ? "the target is missing" : "the target's host or port is missing");
}

Result<Specs> interpret(ForwardKind kind, const Fields& f, const ServicePort& services) {
  if (kind == ForwardKind::kDynamic || kind == ForwardKind::kRemoteDynamic) {
    return interpret_dynamic(kind, f, services);
  }
  if (kind == ForwardKind::kLocal || !is_listen_only(f)) return interpret_fixed(kind, f, services);
  return interpret_dynamic(ForwardKind::kRemoteDynamic, f, services);
}

// One field, so that Splitter takes it for the same text.
std::string quoted(const std::string& text) {
  const bool special = text.find_first_of(":\\") != std::string::npos || text.starts_with('[');
  if (!special) return text;
  if (text.find(']') == std::string::npos) return "[" + text + "]";
  std::string out;
  for (const char c : text) {
    if (c == ':' || c == '\\' || c == '[') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

}  // namespace

std::string ForwardEnd::to_string() const {
  if (is_unix()) return quoted(path);
  return host.empty() ? std::to_string(port) : fmt::format("{}:{}", quoted(host), port);
}

const char* forward_kind_name(ForwardKind kind) {
  switch (kind) {
    case ForwardKind::kLocal:
      return "local";
    case ForwardKind::kRemote:
      return "remote";
    case ForwardKind::kDynamic:
      return "dynamic";
    case ForwardKind::kRemoteDynamic:
      break;
  }
  return "remote-dynamic";
}

std::optional<ForwardKind> forward_kind_of(std::string_view name) {
  for (ForwardKind kind : {ForwardKind::kLocal, ForwardKind::kRemote, ForwardKind::kDynamic,
                           ForwardKind::kRemoteDynamic}) {
    if (name == forward_kind_name(kind)) return kind;
  }
  return std::nullopt;
}

std::string ForwardSpec::to_string() const {
  return target ? fmt::format("{}:{}", listen.to_string(), target->to_string()) : listen.to_string();
}

std::optional<std::uint16_t> system_service_port(const std::string& name) {
  const servent* entry = getservbyname(name.c_str(), "tcp");
  if (entry == nullptr) return std::nullopt;
  return ntohs(static_cast<std::uint16_t>(entry->s_port));
}

Result<std::vector<ForwardSpec>> parse_forward_specs(ForwardKind kind, std::string_view text,
                                                     const ServicePort& services) {
  const std::string_view whole = trimmed(text);
  const auto parsed = [&]() -> Result<Specs> {
    if (whole.empty()) return wrong("a forward is missing");
    if (whole.size() > kMaxSpec) return wrong(fmt::format("a forward has more than {} bytes", kMaxSpec));
    Result<Fields> fields = Splitter(whole).split();
    Result<Specs> specs = fields.ok() ? interpret(kind, *fields, services) : Result<Specs>(fields.error());
    return specs.ok() ? specs : Result<Specs>(specs.error().context(fmt::format("forward '{}'", whole)));
  }();
  if (parsed.ok()) return parsed;
  Error error = parsed.error();
  error.hint = hint_for(kind);
  return error;
}

}  // namespace jump::proto
