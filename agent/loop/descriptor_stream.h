// Descriptors that were passed to us, as streams: what a session's stdin, stdout and stderr are. They stay
// somebody else's: a terminal is also the shell's, a pipe the next program's. So no flag of theirs is
// changed, and nothing waits inside of a system call that could take long:
//
//   socket                     each call is told not to wait; for both directions a PassingSocket, which also
//                              shuts it down
//   pipe, terminal             opened again for ourselves, non-blocking (a new open file); where that cannot
//   be,
//                              each call is told not to wait (RWF_NOWAIT), or made only when it has not to
//   file, and what cannot be   read and written by a pool thread, at the place where the owner's descriptor
//   waited for                 stands, which moves on for its owner as well
//
// One that is used in one direction ends with it: after on_eof(), or after shutdown_write() once all is
// written, on_closed() follows. A terminal that hangs up has ended.
#pragma once

#include <memory>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "loop/loop.h"
#include "stream/byte_stream.h"
#include "stream/io.h"

namespace jump {

// Takes over `fd` in any case. Errors: kInvalid (it is not open for that use), kLimit.
Result<std::unique_ptr<ByteStream>> adopt_passed(Loop& loop, Fd fd, DescriptorUse use,
                                                 std::string description);

}  // namespace jump
