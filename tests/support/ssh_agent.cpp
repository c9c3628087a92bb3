#include "support/ssh_agent.h"

#include "support/eventually.h"
#include "support/setup_error.h"
#include "support/socket.h"

namespace jump::test {

SshAgent::SshAgent() {
  if (!eventually([this] { return Socket::connect_unix(socket_).has_value(); })) {
    setup_error("ssh-agent did not start: " + process_.err());
  }
}

void SshAgent::add(const KeyPair& key) {
  Environment env = base_environment();
  env["SSH_AUTH_SOCK"] = socket_;
  const ProcessResult result = run_process({"ssh-add", "-q", key.private_path}, seconds(60), env);
  if (!result.ok()) setup_error("ssh-add: " + result.describe());
}

}  // namespace jump::test
