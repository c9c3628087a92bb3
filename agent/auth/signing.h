// Signing: one signature with one candidate's key: by the agent, or in the pool with a key file, which is
// unlocked first if it must be.
//
//   start(): [KeyUnlock ─►] agent or pool ─► result()
//
// An agent that takes its time has a person touch a security key or confirm: that person is told so by a
// notice, which goes when the signature comes. `wake` comes from the loop whenever step() may have something
// to do, and must only schedule. Destroying it gives up; what the agent was asked stays with the agent's
// client.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "auth/identities.h"
#include "auth/key_unlock.h"
#include "auth/person.h"
#include "auth/userauth.h"
#include "stream/io.h"

namespace jump {

class Signing {
 public:
  // An agent that signs by itself has answered before.
  static constexpr Duration kPersonDelay = seconds(1);

  // All outlive it.
  Signing(Io& io, Person& person, Identities& identities, const Candidate& candidate, SignRequest request,
          int tries, std::function<void()> wake);
  ~Signing();
  Signing(const Signing&) = delete;
  Signing& operator=(const Signing&) = delete;

  void start();
  void step();  // does what can be done now; from the owner's loop turn
  // Errors: as KeyUnlock and AgentClient::sign().
  std::optional<Result<Bytes>>& result() { return result_; }

 private:
  KeyFile& file() { return identities_.files()->keys[candidate_.file]; }
  void sign_in_agent();
  void sign_in_pool();
  void finish(Result<Bytes> signature);
  void on_slow();

  Io& io_;
  Person& person_;
  Identities& identities_;
  const Candidate& candidate_;
  const SignRequest request_;
  const int tries_;
  const std::function<void()> wake_;
  std::unique_ptr<Timer> slow_timer_;
  std::unique_ptr<KeyUnlock> unlock_;
  std::unique_ptr<Operation> signing_;
  std::optional<Result<Bytes>> result_;
};

}  // namespace jump
