// Launch: `jumpagent up`. Starts `jumpagent run` detached from this terminal and waits until its control
// socket answers, or until it says why not. The child keeps nothing of the caller's: a session of its own,
// "/" as directory, /dev/null as stdin, the log file as stdout and stderr, every other descriptor closed, so
// that nobody ever waits for it.
//
//   parent ── pipe ── child: one report, then end of file
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace jump {

// From the start of the child until its report.
inline constexpr Duration kLaunchMax = seconds(15);

struct Launched {
  int pid = 0;
  std::uint64_t left_connections = 0;  // that the agent whose place it took goes on carrying
  std::uint64_t left_forwards = 0;     // that ended with that agent's clients
};

// `arguments` follow the program's own path. Errors: the child's own; kTimeout.
Result<Launched> launch_detached(const std::vector<std::string>& arguments, const std::string& log_file);

// For the child: where to report to, from its environment; taken out of it, so that nobody further down sees
// it. -1 when nobody waits.
int take_report_descriptor();
// Reports and closes: ready, or why not.
void report(int descriptor, const Result<Launched>& outcome);

// FILE in ${XDG_STATE_HOME:-~/.local/state}/jumpagent, a directory that is made (0700) if it can be. Empty
// when there is no home.
std::string state_directory_file(const std::string& name);

}  // namespace jump
