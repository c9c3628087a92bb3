// AgentDiagnosis: what is well with the agent itself, and what is not: its socket's directory, its config
// file as it is now, the ssh program, ssh-agent, its loop and descriptors, its hosts.
//
// Invariants: done() is called once, from the loop, within kLimit; files are looked at in the pool.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/agent_client.h"
#include "doctor/findings.h"
#include "proto/messages.h"
#include "stream/io.h"

namespace jump {

// What the agent knows of itself.
struct AgentFacts {
  proto::AgentStatus agent;
  std::vector<proto::HostStatus> hosts;
  // Reads the config file as a reload would; errors are the file's. Blocks. Null: there is no file.
  std::function<Status()> read_config;
};

class AgentDiagnosis final : public Operation {
 public:
  static constexpr Duration kLimit = seconds(15);
  using Done = std::function<void(proto::DiagnosisReport)>;

  AgentDiagnosis(Io& io, AgentFacts facts, Done done);
  ~AgentDiagnosis() override;
  AgentDiagnosis(const AgentDiagnosis&) = delete;
  AgentDiagnosis& operator=(const AgentDiagnosis&) = delete;

 private:
  void on_ssh(const Result<CommandOutput>& output);
  void on_keys(const Result<std::vector<AgentIdentity>>& answer);
  void note_health();
  void note_hosts();
  void finish();

  Io& io_;
  const AgentFacts facts_;
  Done done_;  // null once called
  Findings findings_{"agent"};
  std::string socket_;  // $SSH_AUTH_SOCK
  std::unique_ptr<Operation> operation_;
  std::unique_ptr<AgentClient> agent_;
  std::unique_ptr<Deferred> finish_soon_;
  std::unique_ptr<Timer> limit_timer_;
};

}  // namespace jump
