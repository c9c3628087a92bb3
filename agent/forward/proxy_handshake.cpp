// One byte at a time, so that no split can matter: each Step takes bytes until its own end, then chooses the
// next one. A request is judged when all of it was read, as far as its end can be known: a client that is
// still writing would not read a refusal.
#include "forward/proxy_handshake.h"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <utility>

#include "base/printable.h"

namespace jump {
namespace {

constexpr std::uint8_t kSocks4 = 4;
constexpr std::uint8_t kSocks5 = 5;
constexpr std::uint8_t kTlsHandshake = 0x16;

constexpr std::uint8_t kConnect = 1;  // of both SOCKS
constexpr std::uint8_t kBind = 2;
constexpr std::uint8_t kUdpAssociate = 3;

constexpr std::uint8_t kNoAuthentication = 0;  // RFC 1928, section 3
constexpr std::uint8_t kPassword = 2;
constexpr std::uint8_t kNoAcceptableMethod = 0xff;
constexpr std::uint8_t kLoginVersion = 1;  // RFC 1929

constexpr std::uint8_t kIpv4 = 1;
constexpr std::uint8_t kName = 3;
constexpr std::uint8_t kIpv6 = 4;

constexpr std::size_t kShown = 80;  // of a client's text, in a message

constexpr const char* kTunnelsOnly =
    "this is a proxy for tunnels: use it as SOCKS proxy (curl --proxy socks5h://ADDRESS:PORT URL) or with "
    "CONNECT (curl --proxytunnel --proxy http://ADDRESS:PORT URL)";

Error protocol_error(std::string message) { return Error{Errc::kProtocol, std::move(message), {}}; }
Error invalid(std::string message) { return Error{Errc::kInvalid, std::move(message), {}}; }

std::uint16_t load_port(const std::uint8_t* p) { return static_cast<std::uint16_t>((p[0] << 8) | p[1]); }

std::string address_text(int family, const std::uint8_t* address) {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(family, address, text, sizeof text);
  return text;
}

bool is_graphic(char c) { return c > ' ' && c <= '~'; }

// Names go on to the server, into messages and into `status`: plain ASCII, and nothing that could be taken
// for more than a name. Any literal address is fine, too.
Status check_host(std::string_view host) {
  if (host.empty()) return invalid("the client named no host");
  if (host.size() > ProxyHandshake::kMaxHost) {
    return invalid(fmt::format("the client named a host of more than {} bytes", ProxyHandshake::kMaxHost));
  }
  const auto odd = [](char c) {
    return !is_graphic(c) || std::string_view("/[]\\@").find(c) != std::string::npos;
  };
  if (std::any_of(host.begin(), host.end(), odd)) {
    return invalid(fmt::format("the client named a host with a character that no host name has: '{}'",
                               printable(host, kShown)));
  }
  return {};
}

Status check_command(std::uint8_t command) {
  if (command == kConnect) return {};
  const std::string name = command == kBind           ? "BIND"
                           : command == kUdpAssociate ? "UDP ASSOCIATE"
                                                      : fmt::format("command {:#04x}", command);
  return Error{Errc::kUnsupported,
               fmt::format("the client asked for {}, which SSH cannot carry: only CONNECT is served", name),
               {}};
}

bool is_token(std::string_view text) {  // RFC 9110, section 5.6.2
  const auto bad = [](char c) {
    return !is_graphic(c) || std::string_view("\"(),/:;<=>?@[\\]{}").find(c) != std::string_view::npos;
  };
  return !text.empty() && std::none_of(text.begin(), text.end(), bad);
}

struct RequestLine {
  std::string_view method, target, version;
};

// RFC 9112, section 3: single spaces. Empty parts when it is not of this form.
RequestLine split_request_line(std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return {};
  return {line.substr(0, first), line.substr(first + 1, last - first - 1), line.substr(last + 1)};
}

// authority-form (RFC 9112, section 3.2.3): host:port, [v6]:port.
Result<Endpoint> parse_authority(std::string_view text) {
  const std::string shown = printable(text, kShown);
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.ends_with(']')) {
    return invalid(fmt::format("CONNECT names no port: '{}'", shown));
  }
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return invalid(fmt::format("CONNECT names a port that is not in 1..65535: '{}'", shown));
  }
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (host.find(':') == std::string_view::npos) {
      return invalid(fmt::format("CONNECT has no IPv6 address in the brackets: '{}'", shown));
    }
  } else if (host.find(':') != std::string_view::npos) {
    return invalid(fmt::format("CONNECT has an IPv6 address without brackets: '{}'", shown));
  }
  return Endpoint{std::string(host), port, {}};
}

}  // namespace

std::size_t ProxyHandshake::feed(ByteView data) {
  std::size_t taken = 0;
  while (taken < data.size() && state_ == State::kReading) take(data[taken++]);
  return taken;
}

const Endpoint& ProxyHandshake::target() const {
  assert(state_ == State::kRequested);
  return target_;
}

const Error& ProxyHandshake::error() const {
  assert(state_ == State::kFailed);
  return error_;
}

Bytes ProxyHandshake::take_output() { return std::exchange(output_, {}); }

Bytes ProxyHandshake::success() const {
  assert(state_ == State::kRequested);
  if (protocol_ == Protocol::kSocks5) return socks5_reply(Socks5Reply::kSucceeded);
  return protocol_ == Protocol::kHttp ? http_established() : socks4_reply(true);
}

Bytes ProxyHandshake::failure(const Error& error) const {
  assert(state_ == State::kRequested);
  if (protocol_ == Protocol::kSocks5) return socks5_reply(socks5_code(error));
  return protocol_ == Protocol::kHttp ? http_refusal(http_status(error), error) : socks4_reply(false);
}

void ProxyHandshake::take(std::uint8_t byte) {
  switch (step_) {
    case Step::kFirstByte:
      return on_first_byte(byte);
    case Step::kSocks4User:
      return on_socks4_user(byte);
    case Step::kSocks4Name:
      return on_socks4_name(byte);
    case Step::kSocks5Password:
      if (--wanted_ == 0) on_socks5_password();
      return;
    case Step::kHttpRequestLine:
      return on_http_line(byte);
    case Step::kHttpHeaders:
      return on_http_header(byte);
    default:
      field_.push_back(byte);
      if (field_.size() == wanted_) on_field();
  }
}

void ProxyHandshake::on_first_byte(std::uint8_t byte) {
  if (byte == kSocks4) {
    protocol_ = Protocol::kSocks4;
    return gather(Step::kSocks4Request, 7);
  }
  if (byte == kSocks5) {
    protocol_ = Protocol::kSocks5;
    return gather(Step::kSocks5MethodCount, 1);
  }
  if (is_graphic(static_cast<char>(byte))) {
    protocol_ = Protocol::kHttp;
    step_ = Step::kHttpRequestLine;
    return on_http_line(byte);
  }
  if (byte == kTlsHandshake) {
    Error error = protocol_error("the client speaks TLS to the proxy itself");
    error.hint = "name the proxy socks5h://ADDRESS:PORT or http://ADDRESS:PORT, not https://";
    return refuse(std::move(error), {});
  }
  refuse(protocol_error(fmt::format("the client speaks neither SOCKS nor HTTP: it began with {:#04x}", byte)),
         {});
}

void ProxyHandshake::gather(Step step, std::size_t count) {
  step_ = step;
  wanted_ = count;
  field_.clear();
}

void ProxyHandshake::on_field() {
  switch (step_) {
    case Step::kSocks4Request:
      return on_socks4_request();
    case Step::kSocks5MethodCount:
      if (field_[0] == 0) return on_socks5_methods();
      return gather(Step::kSocks5Methods, field_[0]);
    case Step::kSocks5Methods:
      return on_socks5_methods();
    case Step::kSocks5Login:
      return on_socks5_login();
    case Step::kSocks5User:
      return on_socks5_user();
    case Step::kSocks5Request:
      return on_socks5_request();
    case Step::kSocks5NameLength:
      return gather(Step::kSocks5Address, field_[0] + sizeof(std::uint16_t));
    case Step::kSocks5Address:
      return on_socks5_address();
    default:
      assert(false);
  }
}

// --- SOCKS4 (a request, answered once) ---

void ProxyHandshake::on_socks4_request() {
  command_ = field_[0];
  port_ = load_port(&field_[1]);
  // 4a: an address that cannot be, 0.0.0.x, says that a name follows the user id.
  if (field_[3] == 0 && field_[4] == 0 && field_[5] == 0 && field_[6] != 0) protocol_ = Protocol::kSocks4a;
  step_ = Step::kSocks4User;
}

void ProxyHandshake::on_socks4_user(std::uint8_t byte) {
  if (byte != 0) {
    if (++skipped_ <= kMaxUserId) return;
    return refuse(
        Error{Errc::kLimit, fmt::format("the client's user id has more than {} bytes", kMaxUserId), {}},
        socks4_reply(false));
  }
  if (protocol_ == Protocol::kSocks4) return on_socks4_end(address_text(AF_INET, &field_[3]));
  step_ = Step::kSocks4Name;
}

void ProxyHandshake::on_socks4_name(std::uint8_t byte) {
  if (byte == 0) return on_socks4_end(std::move(text_));
  text_.push_back(static_cast<char>(byte));
  if (text_.size() > kMaxHost) refuse(check_host(text_).error(), socks4_reply(false));
}

void ProxyHandshake::on_socks4_end(std::string host) {
  if (Status status = check_command(command_); !status) return refuse(status.error(), socks4_reply(false));
  request(std::move(host), port_);
}

// --- SOCKS5: methods, perhaps a login, then the request ---

void ProxyHandshake::on_socks5_methods() {
  const auto offered = [this](std::uint8_t method) {
    return step_ == Step::kSocks5Methods && std::find(field_.begin(), field_.end(), method) != field_.end();
  };
  if (offered(kNoAuthentication)) {
    answer(Bytes{kSocks5, kNoAuthentication});
    return gather(Step::kSocks5Request, 4);
  }
  // Some clients that have a password offer nothing else. Who may use the port is a matter of the address
  // that it listens on, so any password will do.
  if (offered(kPassword)) {
    answer(Bytes{kSocks5, kPassword});
    return gather(Step::kSocks5Login, 2);
  }
  refuse(Error{Errc::kUnsupported, "the client offered SOCKS5 authentication methods that are not served",
               "set the client to no authentication, or to a user name and any password"},
         Bytes{kSocks5, kNoAcceptableMethod});
}

void ProxyHandshake::on_socks5_login() {
  if (field_[0] != kLoginVersion) {
    constexpr std::uint8_t kRefused = 1;
    return refuse(protocol_error(fmt::format("the client's SOCKS5 login has version {}", field_[0])),
                  Bytes{kLoginVersion, kRefused});
  }
  gather(Step::kSocks5User, field_[1] + std::size_t{1});
}

void ProxyHandshake::on_socks5_user() {
  const std::size_t password_length = field_.back();
  gather(Step::kSocks5Password, password_length);
  if (password_length == 0) on_socks5_password();
}

void ProxyHandshake::on_socks5_password() {
  constexpr std::uint8_t kAccepted = 0;
  answer(Bytes{kLoginVersion, kAccepted});
  gather(Step::kSocks5Request, 4);
}

void ProxyHandshake::on_socks5_request() {
  if (field_[0] != kSocks5) {
    return refuse_socks5(
        Socks5Reply::kFailure,
        protocol_error(fmt::format("the client's SOCKS5 request has version {}", field_[0])));
  }
  command_ = field_[1];
  address_type_ = field_[3];
  if (address_type_ == kName) return gather(Step::kSocks5NameLength, 1);
  if (address_type_ == kIpv4) return gather(Step::kSocks5Address, sizeof(in_addr) + sizeof(std::uint16_t));
  if (address_type_ == kIpv6) return gather(Step::kSocks5Address, sizeof(in6_addr) + sizeof(std::uint16_t));
  refuse_socks5(
      Socks5Reply::kAddressTypeNotSupported,
      Error{Errc::kUnsupported,
            fmt::format("the client named its target by address type {:#04x}, which SOCKS5 does not know",
                        address_type_),
            {}});
}

void ProxyHandshake::on_socks5_address() {
  if (Status status = check_command(command_); !status) {
    return refuse_socks5(Socks5Reply::kCommandNotSupported, status.error());
  }
  request(socks5_host(), load_port(&field_[field_.size() - sizeof(std::uint16_t)]));
}

std::string ProxyHandshake::socks5_host() const {
  if (address_type_ == kIpv4) return address_text(AF_INET, field_.data());
  if (address_type_ == kIpv6) return address_text(AF_INET6, field_.data());
  return std::string(as_text(ByteView(field_).first(field_.size() - sizeof(std::uint16_t))));
}

// --- HTTP: a request line, headers that are skipped, an empty line ---

void ProxyHandshake::on_http_line(std::uint8_t byte) {
  if (byte == '\n') return on_http_request();
  text_.push_back(static_cast<char>(byte));
  if (text_.size() <= kMaxRequestLine) return;
  refuse_http(414, Error{Errc::kLimit,
                         fmt::format("the client's request line has more than {} bytes", kMaxRequestLine),
                         {}});
}

void ProxyHandshake::on_http_request() {
  if (text_.ends_with('\r')) text_.pop_back();
  const RequestLine line = split_request_line(text_);
  const bool http = line.version.starts_with("HTTP/") && !line.target.empty();
  if (!http || !is_token(line.method) || !std::all_of(line.target.begin(), line.target.end(), is_graphic)) {
    Error error = protocol_error(
        fmt::format("the client speaks neither SOCKS nor HTTP: '{}'", printable(text_, kShown)));
    error.hint = kTunnelsOnly;
    return refuse_http(400, std::move(error));
  }
  step_ = Step::kHttpHeaders;
}

void ProxyHandshake::on_http_header(std::uint8_t byte) {
  if (++skipped_ > kMaxHttpHead) {
    return refuse_http(431,
                       Error{Errc::kLimit,
                             fmt::format("the client's HTTP headers have more than {} bytes", kMaxHttpHead),
                             {}});
  }
  if (byte != '\n') {
    ++line_length_;
    last_byte_ = byte;
    return;
  }
  const bool empty = line_length_ == 0 || (line_length_ == 1 && last_byte_ == '\r');
  line_length_ = 0;
  if (empty) on_http_end();
}

void ProxyHandshake::on_http_end() {
  const RequestLine line = split_request_line(text_);
  if (line.method != "CONNECT") {
    return refuse_http(405, Error{Errc::kUnsupported,
                                  fmt::format("the client asked for {}, and only CONNECT is served",
                                              printable(line.method, kShown)),
                                  kTunnelsOnly});
  }
  if (line.version.size() != 8 || !line.version.starts_with("HTTP/1.")) {
    return refuse_http(505, Error{Errc::kUnsupported,
                                  fmt::format("the client speaks {}, and only HTTP/1.1 and 1.0 are served",
                                              printable(line.version, kShown)),
                                  {}});
  }
  Result<Endpoint> target = parse_authority(line.target);
  if (!target) return refuse_http(400, target.error());
  request(std::move(target->host), target->port);
}

// --- the two ends of every handshake ---

void ProxyHandshake::request(std::string host, std::uint16_t port) {
  Status status = check_host(host);
  if (status.ok() && port == 0) status = invalid("the client named port 0 of " + host);
  if (status.ok()) {
    target_ = Endpoint{std::move(host), port, {}};
    state_ = State::kRequested;
    return;
  }
  if (protocol_ == Protocol::kSocks5) return refuse_socks5(Socks5Reply::kFailure, status.error());
  if (protocol_ == Protocol::kHttp) return refuse_http(400, status.error());
  refuse(status.error(), socks4_reply(false));
}

void ProxyHandshake::refuse(Error error, const Bytes& reply) {
  error_ = std::move(error);
  answer(reply);
  state_ = State::kFailed;
}

void ProxyHandshake::refuse_socks5(Socks5Reply code, Error error) {
  refuse(std::move(error), socks5_reply(code));
}

void ProxyHandshake::refuse_http(int status, Error error) {
  const Bytes reply = http_refusal(status, error);
  refuse(std::move(error), reply);
}

void ProxyHandshake::answer(ByteView bytes) { output_.insert(output_.end(), bytes.begin(), bytes.end()); }

std::string_view proxy_protocol_name(ProxyHandshake::Protocol protocol) {
  switch (protocol) {
    case ProxyHandshake::Protocol::kUnknown:
      break;
    case ProxyHandshake::Protocol::kSocks4:
      return "SOCKS4";
    case ProxyHandshake::Protocol::kSocks4a:
      return "SOCKS4a";
    case ProxyHandshake::Protocol::kSocks5:
      return "SOCKS5";
    case ProxyHandshake::Protocol::kHttp:
      return "HTTP CONNECT";
  }
  return "unknown";
}

}  // namespace jump
