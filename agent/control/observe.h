// How everything is now, in the control protocol's terms: hosts, forwards, sessions and open questions
// together, as "status" tells it and as events tell its changes. A host whose login waits for a person's
// answer, and the forwards over it, are "waiting_user" here: neither of them knows of the question. Reads,
// changes nothing.
#pragma once

#include "base/clock.h"
#include "control/interactions.h"
#include "forward/forwards.h"
#include "proto/messages.h"
#include "route/hosts.h"
#include "session/sessions.h"

namespace jump {

// `interactions`: null when nobody is ever asked. `sessions`: null when there can be none.
proto::EventsSnapshot observe(const Hosts& hosts, const Forwards& forwards, const Interactions* interactions,
                              const Sessions* sessions, TimePoint now);

}  // namespace jump
