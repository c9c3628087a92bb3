// HostKeyPolicy: what to do about the key that a server shows. A decision only: who is asked, and who writes
// the file, is host_key_check.h's.
//
//   known_hosts, RevokedHostKeys ─┐
//   the key that is shown ────────┴► decide() ─► accept, record it, ask a person, refuse
//
// The rules are ssh's (sshconnect.c, verify_host_key), with one exception: StrictHostKeyChecking no lets ssh
// connect, with less rights, to a server whose key has changed or is revoked; that is refused here.
// Invariant: a key that is changed or revoked, or could not be checked against RevokedHostKeys, is never
// accepted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "auth/host_key_revocation.h"
#include "auth/host_key_rules.h"
#include "auth/known_hosts.h"
#include "auth/prompter.h"
#include "base/result.h"
#include "transport/transport.h"

namespace jump {

struct HostKeySpec {
  std::string hop;        // for questions: "prod (deploy@10.0.0.5:22)"
  std::string host;       // as the user calls it: "prod"
  std::string host_name;  // HostName
  std::string name;       // as looked up: HostName or HostKeyAlias, and the port used there
  std::uint16_t port = 22;
  std::string ssh_command;         // how the user would reach it with ssh: "ssh -F FILE prod"
  std::string connect_command;     // how the agent is told to, and asks: "jumpctl connect prod"; may be empty
  std::vector<std::string> files;  // UserKnownHostsFile, then GlobalKnownHostsFile
  std::size_t user_files = 0;      // how many of them are the user's
  std::string revoked_host_keys;   // path; empty: none
  StrictHostKeyChecking strict = StrictHostKeyChecking::kAsk;
  bool hash_known_hosts = false;
  bool may_ask = true;  // not BatchMode
};

// All that the decision is made from.
struct HostKeyFiles {
  KnownHosts known;
  Result<RevokedKeys> revoked = RevokedKeys{};
  std::string home;           // shown as "~"; where .ssh is made when missing
  std::string write_problem;  // of the file that would take a new key; empty: none is known

  // Blocks: for a pool thread.
  static HostKeyFiles load(const HostKeySpec& spec);
};

struct HostKeyDecision {
  enum class Action { kAccept, kRecord, kAsk, kRefuse };
  Action action = Action::kRefuse;
  // The key stands in one of the user's own files under the host's full name: what UpdateHostKeys wants.
  bool updatable = false;
  // kRefuse: why. kAsk: why not, when there is nobody to ask.
  Error error;
};

class HostKeyPolicy {
 public:
  // `spec` and `files` outlive the policy.
  HostKeyPolicy(const HostKeySpec& spec, const HostKeyFiles& files) : spec_(spec), files_(files) {}

  HostKeyDecision decide(const HostKey& shown) const;

  // For kAsk. `address`: where the server was reached, as known_hosts names it; empty: by a proxy.
  Question question(const HostKey& key, const std::string& address) const;
  // The name that the key is recorded under.
  std::string record_name() const;

 private:
  HostKeyDecision decide_unknown(const HostKey& key, const HostKeyVerdict& verdict) const;
  HostKeyDecision refuse(const HostKeyVerdict& verdict, const HostKey& key) const;
  std::string ask_command() const;
  bool is_user_file(const std::string& file) const;
  bool is_read_only() const;

  const HostKeySpec& spec_;
  const HostKeyFiles& files_;
};

// What a person said to the question: nullopt is neither yes nor no, so the question is put again.
std::optional<bool> host_key_answer(std::string_view typed, const HostKey& key);

}  // namespace jump
