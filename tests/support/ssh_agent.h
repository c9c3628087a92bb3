// A throw-away ssh-agent that holds the keys it is given.
#pragma once

#include <string>

#include "support/key_pair.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace jump::test {

class SshAgent {
 public:
  SshAgent();
  const std::string& socket() const { return socket_; }
  void add(const KeyPair& key);

 private:
  TempDir directory_;
  std::string socket_ = directory_.file("agent.sock");
  Process process_{{"ssh-agent", "-D", "-a", socket_}};
};

}  // namespace jump::test
