// Whoever changes this machine's network (its links, addresses and routes) holds a NetworkLock: the changes
// are news for the agents of all tests that run meanwhile. One of them that has to go without news asks to be
// alone.
//
// Two locks, of what all of them can open: the network's, shared or not, and a gate before it, so that who
// waits to be alone is not passed by ever more who change it.
#pragma once

#include <fcntl.h>
#include <sys/file.h>

#include "support/setup_error.h"
#include "support/unique_fd.h"

namespace jump::test {

class NetworkLock {
 public:
  NetworkLock() { take(LOCK_SH); }

  // Returns when no other test changes the network, and none does so as long as this exists. Until then,
  // others may.
  void be_alone() {
    lock(network_, LOCK_UN);
    take(LOCK_EX);
  }

 private:
  void take(int how) {
    lock(gate_, LOCK_EX);
    lock(network_, how);
    lock(gate_, LOCK_UN);
  }
  static UniqueFd open_shared(const char* path) { return UniqueFd(::open(path, O_RDONLY | O_CLOEXEC)); }
  static void lock(const UniqueFd& fd, int how) {
    if (::flock(fd.get(), how) != 0) setup_error("cannot lock this machine's network");
  }

  UniqueFd gate_ = open_shared("/proc/self/ns/uts"), network_ = open_shared("/proc/self/ns/net");
};

}  // namespace jump::test
