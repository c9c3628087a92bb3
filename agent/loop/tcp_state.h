// What the kernel knows of a TCP connection (Linux; elsewhere, and of other sockets: nothing).
#pragma once

#include <optional>
#include <string>

#include "stream/byte_stream.h"

namespace jump {

// See ByteStream::delivery().
std::optional<Delivery> tcp_delivery(int fd);
// Its other machine has not acknowledged all that was sent, the end included, and the connection exists.
bool tcp_owes(int fd);
// See ByteStream::condition(); empty: not known.
std::string tcp_condition(int fd);

}  // namespace jump
