// LostEnds: TCP connections that are over for us, and whose peers may not know. The kernel repeats a FIN ever
// more rarely, and not for long where no process has the socket any more; meanwhile the peer keeps what is
// ours, the ports that it listens on for us above all. So those that have something unacknowledged at their
// end are kept here, and reset once their peer can be connected to again.
//
//   keep(): FIN ─► acknowledged: closed
//               ├► reached(its address): reset, which is sent once
//               └► kMost later, or kMostKept came after it: closed, as the kernel does that
//
// Invariant: nothing is read or written any more; each costs one descriptor, and none for longer than kMost.
// The end of the process closes them.
#pragma once

#include <cstddef>
#include <deque>

#include "base/clock.h"
#include "base/fd.h"
#include "loop/socket_address.h"
#include "loop/timer.h"

namespace jump {

class LostEnds {
 public:
  // As long as the kernel itself tries, by tcp_retries2.
  static constexpr Duration kMost = std::chrono::minutes(15);
  // All connections to a handful of servers; few beside the limit of descriptors.
  static constexpr std::size_t kMostKept = 16;

  explicit LostEnds(Loop& loop) : timer_(loop, [this] { look(); }) {}

  // Of a connected TCP socket that stays its owner's, who closes it next. Without a descriptor to spare it is
  // as if nobody had asked.
  void keep(int fd);
  // A connection to `peer` was made.
  void reached(const SocketAddress& peer);

  std::size_t size() const { return ends_.size(); }

 private:
  static constexpr Duration kLook = seconds(1);

  struct End {
    Fd fd;
    SocketAddress peer;
    TimePoint until;
  };

  void look();

  std::deque<End> ends_;  // the oldest first
  UvTimer timer_;
};

}  // namespace jump
