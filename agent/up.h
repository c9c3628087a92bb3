// `jumpagent up`: sees to it that an agent runs, of this build and as the line asks for it, and tells the
// user what became of that. One that runs is left alone, or replaced by a new one that takes over its sockets
// (takeover.h).
#pragma once

#include "command_line.h"

namespace jump {

// Returns when the agent serves, with the program's exit status.
int up(const CommandLine& line);

}  // namespace jump
