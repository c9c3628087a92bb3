// The cures: what a person does about an error of one step. Pure; empty: nothing is known.
#pragma once

#include <string>

#include "base/result.h"
#include "hop/hop_report.h"
#include "hop/hop_spec.h"

namespace jump {

// `carrier`: the hop that was to connect there; empty: this machine.
std::string connect_advice(const Error& error, const HopSpec& spec, const std::string& carrier);
// A file that keys cannot be added to.
std::string known_hosts_advice(const std::string& file);
std::string name_advice(const HopSpec& spec);
std::string proxy_command_advice(const Error& error);
std::string banner_advice(const Error& error, const HopSpec& spec);
std::string kex_advice(const Error& error, const HopSpec& spec);
std::string login_advice(const LoginReport& login, const Error& error, const HopSpec& spec);
std::string forwarding_advice(const std::string& target);

// "that is an HTTP server", by the first words of a server that is none of ours; empty: not known.
std::string other_protocol(const std::string& said);

}  // namespace jump
