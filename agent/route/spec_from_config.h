// From the answer of `ssh -G` to a HopSpec. Pure, so it is tested with recorded answers.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "hop/hop_spec.h"
#include "route/config_dump.h"

namespace jump {

// What the answer's tokens and defaults depend on; a value, so that parsing is pure.
struct LocalUser {
  std::string name;
  std::string home;
  std::string agent_socket;  // $SSH_AUTH_SOCK of the agent's own environment
  std::map<std::string, std::string, std::less<>> homes = {};  // of the others that the answer names: ~NAME
  static LocalUser current();
};

// The users whose homes the answer's files are in: NAME of every ~NAME.
std::set<std::string> users_of_files(const ConfigDump& dump);
// Their homes, as far as there are such users. Asks the system's directory, which may take its time: not for
// the loop.
std::map<std::string, std::string, std::less<>> homes_of(const std::set<std::string>& users);

// Given to `ssh -G` as -o, so that it prints what only ssh can compute: %l, %L and %C. ControlPath means
// nothing to us.
inline constexpr std::string_view kAskForTokens = "ControlPath=%l/%L/%C";

// The answer of `ssh -G` for `alias` as a HopSpec. `defaults` is the answer without any configuration: what
// differs from it, the user chose. Errors: kUnsupported, for what would change the way there or the safety of
// it and is not honoured; kProtocol, for an answer that has no host name.
Result<HopSpec> parse_ssh_config_dump(std::string_view dump, std::string_view alias, const LocalUser& user,
                                      const ConfigDump& defaults = {});

// Where there is no ssh to ask: documented defaults.
HopSpec default_spec(std::string_view host, const LocalUser& user);

}  // namespace jump
