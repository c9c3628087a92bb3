// Descriptors that travel with bytes over a Unix socket (SCM_RIGHTS), and the flags that they had.
#pragma once

#include <string_view>
#include <vector>

#include "support/socket.h"
#include "support/unique_fd.h"

namespace jump::test {

// All of `text` in one sendmsg(); false when it was not taken whole.
bool send_passing(Socket& socket, std::string_view text, const std::vector<int>& descriptors);

struct TestPipe {
  UniqueFd read, write;
};
TestPipe make_pipe();
struct SocketPair {
  UniqueFd one, two;
};
SocketPair make_socket_pair();
struct TerminalPair {
  UniqueFd master, slave;
};
TerminalPair make_terminal();

}  // namespace jump::test
