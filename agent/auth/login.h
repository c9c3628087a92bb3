// Login: which identity is tried in which order until the server lets us in. Decisions only: Userauth does
// the protocol, the agent and the key files are asked in the background.
//
//   start(): "none" ─► the server's methods ┐
//   agent keys, key files (background) ─────┴► plan ─► publickey, one after the other ─► outcome()
//
// The order is ssh's (sshconnect2.c, pubkey_prepare; seen in `ssh -v`):
//   1. keys of the agent that an IdentityFile names, in the agent's order
//   2. other keys of the agent, unless IdentitiesOnly
//   3. keys that are in files only, in the order of IdentityFile
// A key that is in none of the places but as a public half is skipped, and so is an encrypted file: tried()
// says why.
//
// Who calls what: the owner calls start() once its Transport is in kUserauth, then
//     login.advance(); transport.advance(); login.advance(); … until transport.state() and outcome() stay as
//     they are
// after every feed() of its transport and whenever wake() was called. advance() does what can be done now, is
// harmless to call too often, and has at most one attempt under way; an attempt that it began shows in
// transport.output() after transport.advance(). wake() comes from the loop, when background work has
// finished; it must only note or schedule (Deferred), as it runs inside one of Login's own callbacks:
// destroying the Login from there is not allowed. Invariant: once outcome() has a value it keeps it, and
// nothing more is begun.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/agent_client.h"
#include "auth/key_file.h"
#include "auth/userauth.h"
#include "stream/io.h"

namespace jump {

struct LoginSpec {
  std::string user;
  std::vector<std::string> identity_files;  // in order, `~` expanded; "none" entries are skipped
  bool identities_only = false;
  std::string identity_agent;  // socket path; empty or "none": no agent
};

class Login {
 public:
  // `io` and `userauth` outlive the Login. Destroying it gives up everything under way and wipes loaded keys.
  Login(Io& io, Userauth& userauth, LoginSpec spec, std::function<void()> wake);
  ~Login();
  Login(const Login&) = delete;
  Login& operator=(const Login&) = delete;

  void start();
  bool advance();  // true: it moved, so the transport and the outcome are worth another look

  // ok: authenticated. Else kAuth: "authentication failed for deploy: tried agent (2 keys),
  // ~/.ssh/id_ed25519; the server accepts publickey,password", with a hint.
  const std::optional<Status>& outcome() const { return outcome_; }

  // What was tried so far, and why the rest was not: "agent (2 keys), ~/.ssh/id_rsa (protected by a
  // passphrase)"; "no key" if there was none. For the owner's own error when the server hangs up ("Too many
  // authentication failures").
  std::string tried() const;

 private:
  enum class State { kNew, kNone, kGathering, kChoosing, kAttempt, kSigning, kDone };

  // One key to offer: of the agent, or of the file files_[file].
  struct Candidate {
    Bytes blob;  // as its owner knows it
    bool in_agent = false;
    std::size_t file = 0;
  };

  bool step();  // one transition; false: nothing to do now
  void set_state(State state);

  void gather();
  void plan();
  void plan_agent_keys(const std::vector<AgentIdentity>& identities);
  void plan_files();

  bool on_none_answer();
  bool begin_next();
  bool on_attempt_progress();
  void begin_signature(SignRequest request);
  void on_signature(Result<Bytes> signature);
  bool on_signing_progress();
  void abandon_signature();
  void on_answer(const AuthOutcome& answer);

  void learn_methods(const AuthOutcome& answer);
  bool accepts(std::string_view method) const;
  void fail();
  std::string hint() const;
  void note(const Candidate& candidate, std::string reason);
  const Candidate& current() const { return candidates_[next_ - 1]; }

  Io& io_;
  Userauth& userauth_;
  const LoginSpec spec_;
  const std::function<void()> wake_;
  State state_ = State::kNew;
  std::optional<Status> outcome_;

  std::unique_ptr<AgentClient> agent_;
  std::optional<Result<std::vector<AgentIdentity>>> agent_answer_;
  std::shared_ptr<std::vector<KeyFile>> files_;  // shared with pool threads, which own what they touch
  bool files_loaded_ = false;
  std::unique_ptr<Operation> loading_, signing_;
  std::optional<Result<Bytes>> signature_;
  std::string signature_error_;  // of the attempt under way

  std::vector<Candidate> candidates_;
  std::size_t next_ = 0;              // index of the first one not offered yet
  std::vector<std::string> methods_;  // that can continue, as the server last said
  bool partial_ = false;              // a key was accepted, and the server wants more

  std::string agent_without_keys_;  // why no key of the agent is a candidate; empty before plan()
  std::vector<std::string> agent_notes_;
  std::vector<std::string> file_notes_;  // per file: why it was not tried, or did not do
  std::vector<bool> file_in_agent_;      // the agent has this file's key
};

}  // namespace jump
