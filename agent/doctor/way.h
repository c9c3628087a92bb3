// From what a hop met on its way (HopReport) and the error it ended with to findings: which step failed, and
// what a person does about it. Pure, so the table of causes and cures is tested without a server.
#pragma once

#include <string>

#include "doctor/findings.h"
#include "hop/hop_report.h"
#include "hop/hop_spec.h"

namespace jump {

// All steps from the connection to the login. `error` null: it is ready. `carrier`: the hop that it goes
// through, by its name; empty: none.
void explain_way(const HopSpec& spec, const HopReport& report, const Error* error, const std::string& carrier,
                 Findings& findings);

// No connection to the server itself: from here, by the server's own ProxyCommand, or from the jump host.
void explain_unreached(const HopSpec& spec, const Error& error, const std::string& carrier,
                       Findings& findings);

// Of the hop that was to connect to `target`.
void explain_forbidden(const Error& error, const std::string& target, Findings& findings);

}  // namespace jump
