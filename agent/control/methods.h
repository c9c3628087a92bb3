// The control protocol's methods, bound to what carries them out. One handler per method; PROTOCOL.md says
// what each means to a client.
#pragma once

#include <functional>

#include "control/dispatcher.h"
#include "forward/forwards.h"
#include "proto/messages.h"
#include "route/hosts.h"

namespace jump {

// What the methods need of the agent as a whole. All outlive the dispatcher.
struct MethodContext {
  Io& io;
  Hosts& hosts;
  Forwards& forwards;
  proto::HelloResult identity;  // what hello answers, but for the version of the protocol
  std::function<proto::AgentStatus()> agent_status;
  std::function<void()> shutdown;  // begins the orderly end; returns at once
};

// Without a timeout of the client's, a login may take this long.
inline constexpr Duration kDefaultLoginWait = seconds(60);

void bind_methods(Dispatcher& dispatcher, const MethodContext& context);

}  // namespace jump
