// PortHolder: who listens on a TCP port of this machine, for the message of a failed bind. Reads /proc;
// bounded in processes, descriptors and time, and content to find nothing.
#pragma once

#include <string>

#include "loop/socket_address.h"

namespace jump {

// "held by nginx (pid 123)", "held by this process", "held by user 1001"; empty when it cannot be told
// cheaply.
std::string port_holder(const SocketAddress& address);

}  // namespace jump
