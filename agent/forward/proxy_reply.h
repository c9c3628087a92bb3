// The final answer to a proxy's client, in the words of its protocol: SOCKS4, SOCKS5 (RFC 1928, section 6) or
// HTTP (RFC 9110). Pure: an Error goes in, bytes come out. Whatever text the error holds, an HTTP answer is
// one head and one line of printable text.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace jump {

// RFC 1928, section 6.
enum class Socks5Reply : std::uint8_t {
  kSucceeded = 0x00,
  kFailure = 0x01,
  kNotAllowed = 0x02,
  kNetworkUnreachable = 0x03,
  kHostUnreachable = 0x04,
  kConnectionRefused = 0x05,
  kTtlExpired = 0x06,
  kCommandNotSupported = 0x07,
  kAddressTypeNotSupported = 0x08,
};

Bytes socks4_reply(bool granted);
Bytes socks5_reply(Socks5Reply code);
Bytes http_established();
// `status` is an error's (4xx, 5xx); the body says `error`, and its hint.
Bytes http_refusal(int status, const Error& error);

// Why a channel could not be opened, as these protocols tell it. kRefused is "not allowed"; of kUnreachable
// the words tell more: an SSH server puts connect()'s errno into its text.
Socks5Reply socks5_code(const Error& error);
int http_status(const Error& error);

}  // namespace jump
