// A session as the user of exec and shell has it: asked for with this program's own stdin, stdout and stderr,
// and waited for. The agent carries the bytes; what is left here is the terminal, the signals and the end.
#pragma once

#include <string>

#include "ctl/verb.h"

namespace jump::ctl {

struct SessionWish {
  std::string host;
  std::string command;  // or the subsystem; empty: a shell
  bool subsystem = false;
};

// Returns the remote exit status, 255 for failures of SSH, 2 and 3 as everywhere.
int run_session(const Options& options, const SessionWish& wish);

}  // namespace jump::ctl
