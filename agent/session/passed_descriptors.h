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
// Of stdin, stdout and stderr, what is not open for its use becomes /dev/null: nohup has a stdin that can
// only be written, on purpose, and for ssh that is at its end.
void replace_unusable(Io& io, std::vector<Fd>& descriptors);
// By a pool thread: the last one of a file may wait for the file's server.
void close_elsewhere(Io& io, Fd fd);
// Takes three: stdin, stdout, stderr. Errors: kInvalid, kLimit.
Result<SessionStreams> adopt_standard(Io& io, std::vector<Fd> descriptors);
// Takes one socket, or two to read from and to write to. Errors: kInvalid, kLimit.
Result<std::unique_ptr<ByteStream>> adopt_stream(Io& io, std::vector<Fd> descriptors);

}  // namespace jump
