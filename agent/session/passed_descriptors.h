// Descriptors that a client has passed, made into the streams of what it asked for. Those that cannot be used
// are closed with the others.
#pragma once

#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "session/session.h"
#include "stream/io.h"

namespace jump {

// Of the first that is a terminal, for later questions; empty: none is, or no descriptor is free.
Fd copy_of_terminal(const std::vector<Fd>& descriptors);
// Takes three: stdin, stdout, stderr. Errors: kInvalid, kLimit.
Result<SessionStreams> adopt_standard(Io& io, std::vector<Fd> descriptors);
// Takes one socket, or two to read from and to write to. Errors: kInvalid, kLimit.
Result<std::unique_ptr<ByteStream>> adopt_stream(Io& io, std::vector<Fd> descriptors);

}  // namespace jump
