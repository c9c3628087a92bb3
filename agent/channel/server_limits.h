// What no server takes: OpenSSH's ends the whole connection, with all that goes over it, at a packet of more
// than 256 KiB (its PACKET_MAX_SIZE) and at a zero byte in a name, a command or a path. Whoever asks for such
// a thing is refused here instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace jump {

// Of what is specific to a request. A packet's rest is far less than the difference.
inline constexpr std::size_t kMaxRequestBytes = 255 * 1024 + 512;

// `name`: of a request on a channel, a global one, or a channel's type. `max_payload`: of the packet, as the
// transport can send it. Errors: kInvalid.
Status check_request(std::string_view name, ByteView data, std::size_t max_payload = SIZE_MAX);

}  // namespace jump
