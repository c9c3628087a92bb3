// Errc says who failed; for a target that cannot be reached, the phrases of strerror(), of libuv and of
// getaddrinfo() say how. They have a space in them, so no host name is taken for one.
#include "forward/proxy_reply.h"

#include <fmt/core.h>

#include <algorithm>
#include <string>

#include "base/printable.h"

namespace jump {
namespace {

constexpr std::size_t kMaxErrorText = 500;  // of an error in an answer: several levels of context

constexpr std::uint8_t kSocks4Granted = 0x5a;
constexpr std::uint8_t kSocks4Refused = 0x5b;

enum class Failure { kForbidden, kTimeout, kRefused, kNoNetwork, kNoHost, kBusy, kOther };

bool mentions(const std::string& text, std::string_view phrase) {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; };
  return std::search(text.begin(), text.end(), phrase.begin(), phrase.end(), same) != text.end();
}

Failure failure_of(const Error& error) {
  switch (error.code) {
    case Errc::kRefused:
      return Failure::kForbidden;
    case Errc::kTimeout:
      return Failure::kTimeout;
    case Errc::kLimit:
      return Failure::kBusy;
    case Errc::kUnreachable:
      if (mentions(error.message, "connection refused")) return Failure::kRefused;
      if (mentions(error.message, "timed out")) return Failure::kTimeout;
      if (mentions(error.message, "network is unreachable") || mentions(error.message, "network is down")) {
        return Failure::kNoNetwork;
      }
      return Failure::kNoHost;
    default:
      return Failure::kOther;
  }
}

std::string_view http_reason(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 405:
      return "Method Not Allowed";
    case 414:
      return "URI Too Long";
    case 431:
      return "Request Header Fields Too Large";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

}  // namespace

Bytes socks4_reply(bool granted) {
  return {0, granted ? kSocks4Granted : kSocks4Refused, 0, 0, 0, 0, 0, 0};  // of no port and address
}

Bytes socks5_reply(Socks5Reply code) {
  constexpr std::uint8_t kIpv4 = 1;
  return {5, static_cast<std::uint8_t>(code), 0, kIpv4, 0, 0, 0, 0, 0, 0};  // bound to no address known here
}

// Without Content-Length: what follows the head of a 2xx is the tunnel (RFC 9110, section 9.3.6).
Bytes http_established() { return to_bytes(as_bytes("HTTP/1.1 200 Connection established\r\n\r\n")); }

Bytes http_refusal(int status, const Error& error) {
  std::string body = "jumpagent: " + printable(error.message, kMaxErrorText);
  if (!error.hint.empty()) body += "; " + printable(error.hint, kMaxErrorText);
  body += "\n";
  const std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\n"
      "{}"
      "Content-Type: text/plain; charset=us-ascii\r\n"
      "Content-Length: {}\r\n"
      "Connection: close\r\n\r\n",
      status, http_reason(status), status == 405 ? "Allow: CONNECT\r\n" : "", body.size());
  return to_bytes(as_bytes(head + body));
}

Socks5Reply socks5_code(const Error& error) {
  switch (failure_of(error)) {
    case Failure::kForbidden:
      return Socks5Reply::kNotAllowed;
    case Failure::kTimeout:
      return Socks5Reply::kTtlExpired;
    case Failure::kRefused:
      return Socks5Reply::kConnectionRefused;
    case Failure::kNoNetwork:
      return Socks5Reply::kNetworkUnreachable;
    case Failure::kNoHost:
      return Socks5Reply::kHostUnreachable;
    case Failure::kBusy:
    case Failure::kOther:
      break;
  }
  return Socks5Reply::kFailure;
}

int http_status(const Error& error) {
  switch (failure_of(error)) {
    case Failure::kForbidden:
      return 403;
    case Failure::kTimeout:
      return 504;
    case Failure::kBusy:
      return 503;
    default:
      return 502;
  }
}

}  // namespace jump
