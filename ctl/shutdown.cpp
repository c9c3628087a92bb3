// jumpagent down: asks the agent to end, and waits until it has closed the connection.
#include <fmt/core.h>

#include "ctl/output.h"
#include "ctl/verb.h"

namespace jump::ctl {

int shut_down(const Options& options) {
  const Duration timeout = options.timeout_or(kDefaultTimeout);
  Result<Client> client = connect_client(options);
  if (!client.ok()) {
    return fail(options, client.error(),
                client.error().code == Errc::kUnreachable ? kExitNoAgent : kExitFailed);
  }
  Result<proto::Empty> answer = client->call(proto::method::kAgentShutdown, {}, timeout);
  if (!answer.ok()) return fail(options, answer.error(), kExitFailed);
  if (Status status = client->wait_closed(timeout); !status.ok())
    return fail(options, status.error(), kExitFailed);
  if (options.json) {
    write_out(proto::encode(*answer).dump() + "\n");
  } else {
    write_out(fmt::format("jumpagent (pid {}) has ended\n", client->agent().pid));
  }
  return finish_output(options, kExitDone);
}

}  // namespace jump::ctl
