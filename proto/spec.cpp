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
    "IPv6 "
    "addresses go in brackets";

struct Field {
  std::string text;
  bool is_path = false;
};
using Fields = std::vector<Field>;

Error wrong(std::string what) { return Error{Errc::kInvalid, std::move(what), kHint}; }

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

Result<std::uint16_t> parse_port(const std::string& text, const ServicePort& services) {
  if (text.empty()) return wrong("a port is missing");
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (end == text.data() + text.size()) {
    if (error == std::errc() && number <= 65535) return static_cast<std::uint16_t>(number);
    return wrong(fmt::format("port {} is not in 0..65535", text));
  }
  const bool name_like =
      std::none_of(text.begin(), text.end(), [](char c) { return is_space(c) || is_control(c); });
  if (const auto port = name_like ? services(text) : std::nullopt) return *port;
  return wrong(fmt::format("'{}' is neither a port number nor the name of a service", text));
}

Result<std::uint16_t> parse_target_port(const std::string& text, const ServicePort& services) {
  Result<std::uint16_t> port = parse_port(text, services);
  if (port.ok() && *port == 0) return wrong("the target's port is not in 1..65535");
  return port;
}

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

Result<ForwardEnd> path_end(const std::string& path) {
  if (path.size() > kMaxSocketPath) {
    return wrong(fmt::format("a socket's path has more than {} bytes", kMaxSocketPath));
  }
  if (std::any_of(path.begin(), path.end(), is_control))
    return wrong("a socket's path has a control character");
  if (trimmed(path) != path) return wrong("a socket's path begins or ends with a space");
  return ForwardEnd{{}, 0, path};
}

// `bind` is null when there is no such field.
Result<ForwardEnd> listen_end(const Field* bind, const Field& port_field, const ServicePort& services) {
  ForwardEnd end;
  if (bind != nullptr) {
    end.host = bind->text.empty() ? "*" : bind->text;
    if (Status status = check_host(end.host, "the bind address"); !status.ok()) return status.error();
  }
  Result<std::uint16_t> port = parse_port(port_field.text, services);
  if (!port.ok()) return port.error().context("listening port");
  end.port = *port;
  return end;
}

Result<ForwardEnd> target_end(const Field& host, const Field& port_field, const ServicePort& services) {
  if (host.is_path) return wrong(fmt::format("the path {} has a port behind it", host.text));
  if (host.text.empty()) return wrong("the target's host is missing");
  if (Status status = check_host(host.text, "the target's host"); !status.ok()) return status.error();
  Result<std::uint16_t> port = parse_target_port(port_field.text, services);
  if (!port.ok()) return port.error().context("target port");
  return ForwardEnd{host.text, *port, {}};
}

Result<ForwardSpec> combine(Result<ForwardEnd> listen, Result<ForwardEnd> target) {
  if (!listen.ok()) return listen.error();
  if (!target.ok()) return target.error();
  return ForwardSpec{*std::move(listen), *std::move(target)};
}

Result<ForwardSpec> interpret(const Fields& f, const ServicePort& services) {
  const auto path_at = [&f](std::size_t i) { return i < f.size() && f[i].is_path; };
  if (f.size() == 2 && path_at(0) && path_at(1)) return combine(path_end(f[0].text), path_end(f[1].text));
  if (f.size() == 2 && path_at(1)) return combine(listen_end(nullptr, f[0], services), path_end(f[1].text));
  if (f.size() == 3 && path_at(0)) return combine(path_end(f[0].text), target_end(f[1], f[2], services));
  if (f.size() == 3 && path_at(2)) return combine(listen_end(&f[0], f[1], services), path_end(f[2].text));
  if (f.size() == 3) return combine(listen_end(nullptr, f[0], services), target_end(f[1], f[2], services));
  if (f.size() == 4) {
    if (f[3].text.empty()) return wrong("nothing follows the last ':'");
    if (path_at(0)) return wrong(fmt::format("the path {} is followed by one field too many", f[0].text));
    return combine(listen_end(&f[0], f[1], services), target_end(f[2], f[3], services));
  }
  return wrong(f.size() == 1 ? "the target is missing" : "the target's host or port is missing");
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

std::string ForwardSpec::to_string() const {
  return fmt::format("{}:{}", listen.to_string(), target.to_string());
}

std::optional<std::uint16_t> system_service_port(const std::string& name) {
  const servent* entry = getservbyname(name.c_str(), "tcp");
  if (entry == nullptr) return std::nullopt;
  return ntohs(static_cast<std::uint16_t>(entry->s_port));
}

Result<ForwardSpec> parse_forward_spec(std::string_view text, const ServicePort& services) {
  const std::string_view whole = trimmed(text);
  if (whole.empty()) return wrong("a forward is missing");
  if (whole.size() > kMaxSpec) return wrong(fmt::format("a forward has more than {} bytes", kMaxSpec));
  Result<Fields> fields = Splitter(whole).split();
  Result<ForwardSpec> spec = fields.ok() ? interpret(*fields, services) : Result<ForwardSpec>(fields.error());
  if (!spec.ok()) return spec.error().context(fmt::format("forward '{}'", whole));
  return spec;
}

}  // namespace jump::proto
