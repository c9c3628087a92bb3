// What `ssh -O conninfo` and `ssh -O channels`, and the escape "~#", print: text for people, whatever the
// program behind the socket.
#pragma once

#include <string>

#include "openssh/mux_services.h"

namespace jump {

std::string connection_info(const Host& host, TimePoint now);
std::string channel_info(const Sessions& book, const Forwards& forwards, const std::string& host);

}  // namespace jump
