// What the kernel knows of a TCP connection (Linux; elsewhere, and of other sockets: nothing).
#pragma once

#include <optional>
#include <string>

#include "stream/byte_stream.h"

namespace jump {

// See ByteStream::delivery().
std::optional<Delivery> tcp_delivery(int fd);
// See ByteStream::condition(); empty: not known.
std::string tcp_condition(int fd);

}  // namespace jump
