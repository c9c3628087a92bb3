// HostKeyCheck: one server's key, from being shown to being accepted or refused, with all that may have to be
// waited for: a person's answer, a file to be written.
//
//   HostKeyPolicy ─► kAsking (Prompter) ─► kRecording (pool) ─► outcome()
//
// Like Login: the owner calls start() once and looks at outcome() whenever wake() was called. wake() comes
// from the loop, inside one of the check's own callbacks, and must only schedule; destroying the check gives
// up what is under way. Invariants: once outcome() has a value it keeps it; nothing is written before the key
// was accepted; a file that cannot be written is a warning, as with ssh: said to whoever waits, and kept in
// unrecorded().
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/host_key_policy.h"
#include "auth/prompter.h"
#include "stream/io.h"

namespace jump {

class HostKeyCheck {
 public:
  // Somebody, or something, that answers neither yes nor no is asked so often.
  static constexpr int kMaxAsked = 5;

  // `io` and `prompter` (may be null: nobody to ask) outlive the check. `address`: see HostKeyPolicy.
  HostKeyCheck(Io& io, Prompter* prompter, HostKeySpec spec, std::shared_ptr<const HostKeyFiles> files,
               HostKey key, std::string address, std::function<void()> wake);
  HostKeyCheck(const HostKeyCheck&) = delete;
  HostKeyCheck& operator=(const HostKeyCheck&) = delete;

  void start();

  // ok: accepted. Errors: kHostKey, kNeedsPerson (nobody answered), kCancelled (a person said no).
  const std::optional<Status>& outcome() const { return outcome_; }
  bool asking() const { return state_ == State::kAsking; }
  // Accepted, and UpdateHostKeys may go on from it: it stands in a file of the user's, or a person accepted
  // it.
  bool updatable() const { return updatable_; }
  bool needed_person() const { return asked_ > 0; }
  // Accepted, but the file could not be written; empty: it was, or did not have to be.
  const std::string& unrecorded() const { return unrecorded_; }

 private:
  enum class State { kNew, kAsking, kRecording, kDone };

  void set_state(State next);
  void ask(const char* again);
  void on_answer(Result<std::vector<Secret>> answer);
  void record();
  void on_recorded(const Result<bool>& added);
  void tell_unrecorded(const Error& error);
  void finish(Status outcome);

  Io& io_;
  Prompter* const prompter_;
  const HostKeySpec spec_;
  const std::shared_ptr<const HostKeyFiles> files_;
  const HostKey key_;
  const std::string address_;
  const std::function<void()> wake_;
  const HostKeyPolicy policy_;

  State state_ = State::kNew;
  bool updatable_ = false;
  int asked_ = 0;
  std::string unrecorded_;
  Error refusal_;  // why not, if nobody says yes
  std::unique_ptr<Operation> operation_;
  std::optional<Status> outcome_;
};

}  // namespace jump
