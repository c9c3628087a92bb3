// Base64 (RFC 4648, section 4) as OpenSSH's files have it: strict about alphabet, padding and unused bits,
// and blind to white space inside. The decoder writes into one allocation, so that decoding a private key
// leaves no copies.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace jump {

std::string base64_encode(ByteView data);                   // padded
std::optional<Bytes> base64_decode(std::string_view text);  // nullopt: not base64

}  // namespace jump
