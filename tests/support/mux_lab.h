// MuxLab: shell scripts that are run twice by stock ssh against one sshd, once through the control socket of
// `ssh -M` and once through the agent's, so that what they print and how they end can be compared.
//
// A script calls `m ARGUMENTS…`: that is `ssh -S SOCKET …`. It finds `$ctl`, the socket; `$ssh`, `$scp`,
// `$sftp`, with `$through`, their options; `$dir`, a directory of this run; `$echo`, the port of an echo
// service; `$port1` … `$port4`, free ports; and the functions below.
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "support/lab.h"
#include "support/process.h"
#include "support/reserved_port.h"
#include "support/tcp_service.h"

namespace jump::test {

// The ssh, scp and sftp of one version.
struct OpensshClient {
  std::string name;       // as the tests' names have it
  std::string directory;  // empty: the installed ones
};
inline void PrintTo(const OpensshClient& client, std::ostream* out) { *out << client.name; }

inline constexpr const char* kOpenssh10 = "Openssh10";
inline constexpr const char* kOpenssh103 = "Openssh103";  // or a later one: it knows -O conninfo and -O channels

// Those that can be had: the installed ones, and what was unpacked beside them ($JUMPAGENT_OPENSSH10,
// $JUMPAGENT_OPENSSH103: their directories).
std::vector<OpensshClient> openssh_clients();
// One of them; without a name: it cannot be had.
OpensshClient openssh_client(const std::string& name);

class MuxLab {
 public:
  enum class Master { kSsh, kAgent };

  explicit MuxLab(LabOptions options = {}, const OpensshClient& client = {});
  ~MuxLab();

  Lab& lab() { return *lab_; }
  AgentProcess& agent() { return lab_->agent(); }
  // The agent's socket for `bastion`.
  const std::string& socket() const { return socket_; }
  void set_env(const std::string& name, const std::string& value) { more_[name] = value; }
  Environment environment(Master master);
  ProcessResult run(Master master, const std::string& script, Duration deadline = seconds(60));
  ProcessResult through_agent(const std::string& script) { return run(Master::kAgent, script); }
  // Logins that sshd has let in.
  int logins() const;

 private:
  std::unique_ptr<Lab> lab_;
  const std::string client_;
  TcpService echo_{TcpService::echo()};
  ReservedPort ports_[4];
  std::string socket_;
  Environment more_;
  int runs_ = 0;
};

// Without what differs from run to run: pids, ports, paths of this run.
std::string without_accidents(std::string text, const Environment& env);

}  // namespace jump::test
