// A session's and a stream's entries in the book, made of what they are.
#pragma once

#include "session/session.h"
#include "session/sessions.h"
#include "session/stream_relay.h"

namespace jump {

// All but `client`.
void fill_facts(const Session& session, SessionFacts& facts);
void fill_facts(const StreamRelay& stream, SessionFacts& facts);

}  // namespace jump
