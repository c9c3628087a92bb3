#include "transport/version_exchange.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/printable.h"

namespace jump {

namespace {

constexpr std::size_t kQuoted = 80;         // of a server's text, in an error message
constexpr std::size_t kVersionLimit = 255;  // RFC 4253 section 4.2

// How the first line of other protocols' servers begins.
constexpr std::array<std::string_view, 12> kOtherProtocols = {"HTTP/", "220 ", "220-", "421 ", "550 ", "554 ",
                                                              "+OK",   "-ERR", "* OK", "RFB ", "<",    "{"};

bool is_text(std::uint8_t byte) { return (byte >= ' ' && byte != 0x7f) || byte == '\t' || byte == '\r'; }

}  // namespace

bool VersionExchange::take(std::uint8_t byte) {
  if (++bytes_ > kMaxBytes) return fail(Errc::kProtocol, "not an SSH server");
  if (line_.empty() && (byte == '\r' || byte == '\n')) return true;  // as libssh2 does
  if (byte == '\n') return end_line();
  line_.push_back(static_cast<char>(byte));
  if (!is_text(byte) || line_.size() > kMaxLine) return fail(Errc::kProtocol, "not an SSH server");
  return true;
}

bool VersionExchange::end_line() {
  while (!line_.empty() && line_.back() == '\r') line_.pop_back();
  if (line_.starts_with("SSH-")) {
    version_ = printable(line_, kVersionLimit);
    if (!line_.starts_with("SSH-2.0-") && !line_.starts_with("SSH-1.99-")) {
      return fail(Errc::kUnsupported,
                  fmt::format("the server does not speak SSH 2.0 but \"{}\"", printable(line_, kQuoted)));
    }
    done_ = true;
    return true;
  }
  if (lines_++ == 0) first_line_ = line_;
  const bool other = lines_ == 1 && std::any_of(kOtherProtocols.begin(), kOtherProtocols.end(),
                                                [&](std::string_view s) { return line_.starts_with(s); });
  if (other || lines_ > kMaxLines) return fail(Errc::kProtocol, "not an SSH server");
  line_.clear();
  return true;
}

bool VersionExchange::fail(Errc code, std::string message) {
  const std::string text = said();
  if (code == Errc::kProtocol && !text.empty()) message += fmt::format(" (it said: \"{}\")", text);
  error_ = Error{code, std::move(message), "check the host name and port"};
  return false;
}

std::string VersionExchange::said() const {
  return printable(first_line_.empty() ? line_ : first_line_, kQuoted);
}

}  // namespace jump
