// `jumpagent run`: this process becomes the agent, and tells whoever started it (launch.h) once it serves.
#pragma once

#include "command_line.h"

namespace jump {

// Returns when the agent has ended: with the program's exit status.
int run(const CommandLine& line);

// Ends the process without waiting for pool threads: one may be inside a name lookup that takes its
// resolver's time.
[[noreturn]] void leave(int exit_code);

}  // namespace jump
