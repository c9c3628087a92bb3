// The rest of `--hold`: stays until a signal says that it is enough, or nothing is left to hold: somebody has
// closed it all, or the agent has ended. Invariant: when it returns for a signal, the agent has closed what this
// client held, or had its time to.
#pragma once

#include <set>
#include <string>

#include "ctl/client.h"
#include "ctl/verb.h"

namespace jump::ctl {

// `ids`: of forwards that end with `client`. kExitDone after SIGINT, SIGTERM or SIGHUP; kExitFailed when there is
// nothing left, which is said.
int hold(const Options& options, Client client, std::set<std::string> ids);

}  // namespace jump::ctl
