// Whoever changes this machine's network (its links, addresses and routes) holds a NetworkLock: the changes are
// news for the agents of all tests that run meanwhile. One of them that has to go without news asks to be alone.
#pragma once

#include <fcntl.h>
#include <sys/file.h>

#include "support/setup_error.h"
#include "support/unique_fd.h"

namespace jump::test {

class NetworkLock {
 public:
  NetworkLock() : network_(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) { hold(LOCK_SH); }

  // Returns when no other test changes the network, and none does so as long as this exists.
  void be_alone() { hold(LOCK_EX); }

 private:
  void hold(int how) {
    if (::flock(network_.get(), how) != 0) setup_error("cannot lock this machine's network");
  }

  UniqueFd network_;
};

}  // namespace jump::test
