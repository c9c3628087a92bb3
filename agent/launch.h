// Launch: `jumpagent up`. Starts `jumpagent run` detached from this terminal and waits until its control
// socket answers, or until it says why not. The child keeps nothing of the caller's: a session of its own,
// "/" as directory, /dev/null as stdin, the log file as stdout and stderr, every other descriptor closed, so
// that nobody ever waits for it.
//
//   parent ── pipe ── child: one report, then end of file
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace jump {

// From the start of the child until its report.
inline constexpr Duration kLaunchMax = seconds(15);

// `arguments` follow the program's own path. Returns the agent's pid. Errors: the child's own; kTimeout.
Result<int> launch_detached(const std::vector<std::string>& arguments, const std::string& log_file);

// For the child: where to report to, from its environment; taken out of it, so that nobody further down sees
// it. -1 when nobody waits.
int take_report_descriptor();
// Reports and closes. A null error: ready.
void report(int descriptor, const Error* error);

// FILE in ${XDG_STATE_HOME:-~/.local/state}/jumpagent, a directory that is made (0700). Empty when there is no
// place.
std::string state_directory_file(const std::string& name);

}  // namespace jump
