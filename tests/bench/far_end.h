// The services behind the bastion, in a process of their own (this program, run again), with one epoll loop:
// so that ten thousand connections need neither our descriptors nor a thread each, and their work is not
// counted as anybody's.
//
//   source  sends the stream pattern from when the first byte arrives until the peer ends its direction
//   sink    checks the stream pattern until the peer ends its direction; then says how much was right
//   echo    sends back what comes
//   census  says how many connections to the other three are open
#pragma once

#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "support/process.h"

namespace jump::bench {

// What the sink says in the end, as its bytes are.
struct SinkVerdict {
  std::uint64_t count;
  std::uint64_t wrong;  // 0, or 1 + the offset of the first wrong piece
};

class FarEnd {
 public:
  static constexpr const char* kArgument = "--far-end";  // makes this program be one
  static int run();

  FarEnd();
  std::uint16_t source() const { return ports_[0]; }
  std::uint16_t sink() const { return ports_[1]; }
  std::uint16_t echo() const { return ports_[2]; }
  std::uint64_t open_connections() const;
  // Until the connections of the last measurement are gone. An error if that takes too long.
  void wait_until_quiet() const;
  pid_t pid() const { return process_->pid(); }

 private:
  std::unique_ptr<test::Process> process_;
  std::uint16_t ports_[4] = {};
};

}  // namespace jump::bench
