// The one way in which test support gives up: a machine that cannot host the test (no sshd, no free port, no
// /tmp) ends the test as failed, with the reason, and every destructor on the way runs.
#pragma once

#include <stdexcept>
#include <string>

namespace jump::test {

[[noreturn]] inline void setup_error(const std::string& reason) {
  throw std::runtime_error("test setup: " + reason);
}

}  // namespace jump::test
