// LostEnds: TCP connections that are over for us, and whose peers could not be told. The kernel repeats a FIN
// ever more rarely, and not for long where no process has the socket any more; meanwhile the peer keeps what
// is ours, the ports that it listens on for us above all. So they are kept here, and once their peer can be
// connected to again they are reset: it knows at once.
//
//   keep(): FIN ─► reached(its address): reset
//               └► kMost later, or when kMostKept came after it: closed, as the kernel does that
//
// Invariant: nothing is read or written any more; each costs one descriptor, and no connection one for longer
// than kMost. The end of the process closes them.
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
  static constexpr std::size_t kMostKept = 16;

  explicit LostEnds(Loop& loop) : timer_(loop, [this] { let_go(); }) {}

  // Of a connected TCP socket that stays its owner's, who closes it. Without a descriptor to spare it is as
  // if nobody had asked.
  void keep(int fd);
  // A connection to `peer` was made.
  void reached(const SocketAddress& peer);

 private:
  struct End {
    Fd fd;
    SocketAddress peer;
    TimePoint until;
  };

  void let_go();

  std::deque<End> ends_;  // the oldest first
  UvTimer timer_;
};

}  // namespace jump
