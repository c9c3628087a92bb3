// jumpctl exec and shell: a command, a subsystem or a shell on a host.
#include <fmt/format.h>

#include "ctl/session_run.h"
#include "ctl/verb.h"

namespace jump::ctl {

int run_command(const Options& options) {
  const std::vector<std::string>& words = options.arguments;
  const std::vector<std::string> command(words.begin() + 1, words.end());
  return run_session(options, {words.front(), fmt::format("{}", fmt::join(command, " ")), options.subsystem});
}

int run_shell(const Options& options) { return run_session(options, {options.arguments.front(), {}, false}); }

}  // namespace jump::ctl
