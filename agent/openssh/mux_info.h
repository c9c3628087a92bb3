// What `ssh -O conninfo` and `ssh -O channels` print: text for people, whatever the program behind the
// socket.
#pragma once

#include <string>

#include "openssh/mux_services.h"

namespace jump {

std::string connection_info(const Host& host, TimePoint now);
std::string channel_info(const MuxServices& services, const Host& host);

}  // namespace jump
