// The control protocol's methods, bound to what carries them out. One handler per method; PROTOCOL.md says
// what each means to a client.
#pragma once

#include <functional>

#include "config/live_config.h"
#include "control/dispatcher.h"
#include "control/events.h"
#include "control/interactions.h"
#include "doctor/doctor.h"
#include "forward/forwards.h"
#include "forward/persistence.h"
#include "proto/messages.h"
#include "route/hosts.h"
#include "session/sessions.h"

namespace jump {

// What the methods need of the agent as a whole. All outlive the dispatcher.
struct MethodContext {
  Io& io;
  Hosts& hosts;
  Forwards& forwards;
  proto::HelloResult identity;  // what hello answers, but for the version of the protocol
  std::function<proto::AgentStatus()> agent_status;
  // Begins the orderly end; returns at once, with what is waited for.
  std::function<proto::AgentShutdownResult(const proto::AgentShutdownParams&)> shutdown;
  Interactions* interactions = nullptr;                 // null: nobody is ever asked
  const AgentConfig& config = AgentConfig::defaults();  // in force: what it says changes with a reload
  std::function<void(ReloadDone)> reload{};             // of the config file; null: that cannot be done
  Persistence* persistence = nullptr;                   // null: nothing can be persistent
  Doctor* doctor = nullptr;                             // null: it makes no diagnoses
  EventFeed* events = nullptr;                          // null: it tells no events
  const Sessions* sessions = nullptr;                   // null: there are none
  // Why nothing can be begun now: the agent ends, or another takes over. Null: it always can.
  std::function<Status()> may_change{};
  // The same of sessions and streams by that host, which a retired agent carries to their end.
  std::function<Status(const Host&)> may_serve{};
};

void bind_methods(Dispatcher& dispatcher, const MethodContext& context);

}  // namespace jump
