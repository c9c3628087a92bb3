// jumpagent reload: has the agent read its config file again, and says what came of it.
#include <fmt/core.h>
#include <fmt/format.h>

#include "ctl/output.h"
#include "ctl/verb.h"

namespace jump::ctl {
namespace {

std::string text_of(const proto::AgentReloadResult& result) {
  std::string text = fmt::format("{}: {} forward{} opened, {} closed, {} as they were\n",
                                 result.config.empty() ? "no config file" : result.config, result.opened,
                                 result.opened == 1 ? "" : "s", result.closed, result.kept);
  if (!result.connecting.empty()) text += fmt::format("connecting: {}\n", fmt::join(result.connecting, ", "));
  if (!result.disconnected.empty())
    text += fmt::format("disconnected: {}\n", fmt::join(result.disconnected, ", "));
  if (!result.needs_restart.empty()) {
    text += fmt::format("changed with the next start of the agent only: {}\n",
                        fmt::join(result.needs_restart, ", "));
  }
  return text;
}

}  // namespace

int reload_config(const Options& options) {
  Result<Client> client = connect_client(options);
  if (!client.ok()) {
    return fail(options, client.error(),
                client.error().code == Errc::kUnreachable ? kExitNoAgent : kExitFailed);
  }
  Result<proto::AgentReloadResult> answer = ask_heir_too(options, nullptr, &client, [&](Client& agent) {
    return agent.call(proto::method::kAgentReload, {}, options.timeout_or(kDefaultTimeout));
  });
  if (!answer.ok()) return fail_lines(options, answer.error(), kExitFailed);
  write_out(options.json ? proto::encode(*answer).dump() + "\n" : text_of(*answer));
  return finish_output(options, kExitDone);
}

}  // namespace jump::ctl
