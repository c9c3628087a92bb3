// What the agent knows of its hosts and forwards, in the control protocol's terms. Reads, changes nothing.
#pragma once

#include "base/clock.h"
#include "forward/forwards.h"
#include "proto/messages.h"
#include "route/hosts.h"
#include "session/sessions.h"

namespace jump {

proto::HostStatus host_status(const Host& host, TimePoint now);
proto::ForwardStatus forward_status(const WantedForward& wanted, TimePoint now);
proto::ForwardListResult forward_list(const Forwards& forwards, TimePoint now);

proto::SessionStatus session_status(const std::string& id, const SessionFacts& facts, TimePoint now);

}  // namespace jump
