// What clients write about sessions and streams, in the agent's terms, and the other way round. No decisions
// here, and nothing is kept.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "hop/hop_spec.h"
#include "proto/messages.h"
#include "session/passed_descriptors.h"
#include "session/session.h"
#include "stream/io.h"

namespace jump {

// A terminal's size and modes are read from the first of `descriptors` that is one. Errors: kInvalid.
Result<SessionRequest> session_request(const proto::SessionOpenParams& params,
                                       const std::vector<Fd>& descriptors);
// A name of a signal, without its SIG. Errors: kInvalid.
Status check_signal(const std::string& name);
// Errors: kInvalid.
Result<Endpoint> stream_target(const proto::StreamOpenParams& params);

proto::HostOptionsResult host_options(const std::string& host, const HopSpec& spec);
proto::SessionEnded session_ended(const std::string& id, const SessionEnd& end);
proto::ErrorInfo error_info(const Error& error);

Error missing_descriptors(const std::string& wanted, std::size_t came);
Error no_such_session(const std::string& id);

}  // namespace jump
