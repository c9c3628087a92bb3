// What the multiplexing server needs of the agent. All outlive it.
#pragma once

#include <functional>

#include "base/clock.h"
#include "base/result.h"
#include "forward/forwards.h"
#include "route/hosts.h"
#include "session/sessions.h"
#include "stream/io.h"

namespace jump {

struct MuxServices {
  Io& io;
  Hosts& hosts;
  Forwards& forwards;
  Sessions& book;
  std::function<Duration()> login_wait;    // for a login that a client's arrival begins
  std::function<Duration()> open_timeout;  // for the target of `ssh -W`
  std::function<Status()> may_serve;       // why no session or stream can be begun now: the agent ends
  std::function<Status()>
      may_change;  // why no forward can be opened or closed now: the same, or another agent takes over
};

}  // namespace jump
