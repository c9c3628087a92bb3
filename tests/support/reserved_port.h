// A TCP port of 127.0.0.1 that is free and stays ours until a server of this test takes it, also when that
// server is killed and started again. Two things could take it away. The kernel's ephemeral ports: so it lies
// below their range. Another test running at the same time: so the number is held through an abstract Unix
// socket, which dies with the process.
#pragma once

#include <cstdint>

#include "support/unique_fd.h"

namespace jump::test {

class ReservedPort {
 public:
  ReservedPort();
  std::uint16_t number() const { return number_; }

 private:
  UniqueFd lock_;
  std::uint16_t number_ = 0;
};

}  // namespace jump::test
