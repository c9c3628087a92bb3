// A diagnosis as people read it: hop by hop, a line for each step and one for what to do about it. Pure, and
// made safe for a terminal, as much of the text comes from servers.
#pragma once

#include <string>

#include "ctl/print.h"
#include "proto/messages.h"

namespace jump::ctl {

// Each line ends in '\n'.
//
//   bastion (deploy@10.0.0.5:22)
//     ok    connect   10.0.0.5:22
//     FAIL  login     authentication failed for deploy: …
//                     -> is 'deploy' the right user there? …
std::string render_steps(const proto::DiagnosisReport& report, Style style);
// One line: "all is well", or what failed where.
std::string render_verdict(const proto::DiagnosisReport& report, Style style);

}  // namespace jump::ctl
