// jumpagent down: asks the agent to end, says what it waits for, and waits until it has closed the
// connection.
#include <fmt/core.h>

#include <chrono>

#include "ctl/output.h"
#include "ctl/verb.h"

namespace jump::ctl {
namespace {

void say_wait(const proto::AgentShutdownResult& answer) {
  if (answer.connections == 0 || answer.drain <= 0) return;
  write_err(fmt::format("{} connection{} open; those that move bytes have {:g} s to finish (--now: none)\n",
                        answer.connections, answer.connections == 1 ? " is" : "s are", answer.drain));
}

}  // namespace

int shut_down(const Options& options) { return shut_down(options, {}); }

int shut_down(const Options& options, const proto::AgentShutdownParams& params) {
  const Duration timeout = options.timeout_or(kDefaultTimeout);
  Result<Client> client = connect_client(options);
  if (!client.ok()) {
    return fail(options, client.error(),
                client.error().code == Errc::kUnreachable ? kExitNoAgent : kExitFailed);
  }
  const auto answer = client->call(proto::method::kAgentShutdown, params, timeout);
  if (!answer.ok()) return fail(options, answer.error(), kExitFailed);
  if (!options.json) say_wait(*answer);
  const auto drain = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(answer->drain));
  if (Status status = client->wait_closed(drain + timeout); !status.ok())
    return fail(options, status.error(), kExitFailed);
  if (options.json) {
    write_out(proto::encode(*answer).dump() + "\n");
  } else {
    write_out(fmt::format("jumpagent (pid {}) has ended\n", client->agent().pid));
  }
  return finish_output(options, kExitDone);
}

}  // namespace jump::ctl
