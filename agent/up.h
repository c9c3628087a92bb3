// `jumpagent up`: sees to it that an agent runs, and tells the user what became of that. One that runs is
// left alone, and the user told what of the line it does not do; or, of another build or with --replace, it
// is replaced by a new one that takes over its sockets (takeover.h).
#pragma once

#include "command_line.h"

namespace jump {

// Returns when the agent serves, with the program's exit status.
int up(const CommandLine& line);

}  // namespace jump
