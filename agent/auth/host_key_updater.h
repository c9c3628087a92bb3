// HostKeyUpdater: carries out a HostKeyUpdate: reads the files, has the server prove its keys, asks a person
// where UpdateHostKeys says so, and rewrites the files. One list per connection.
//
//   on_list() ─► plan (pool) ─► prove (the connection) ─► verify (pool) ─► ask ─► replace (pool)
//
// Destroying it gives up what is under way; a file is rewritten whole or not at all. Everything that fails is
// logged and leaves the files as they are: the connection goes on in any case.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "auth/host_key_policy.h"
#include "auth/host_key_update.h"
#include "stream/io.h"

namespace jump {

class HostKeyUpdater {
 public:
  // Sends the global request kProveRequest with `data`, and has `done` called with its reply, later.
  using Proved = std::function<void(bool success, ByteView reply)>;
  using Prove = std::function<void(ByteView data, Proved done)>;

  // `io` and `prompter` (may be null) outlive the updater. `algorithms`: see HostKeyUpdate. `session_id` is
  // of the first key exchange.
  HostKeyUpdater(Io& io, Prompter* prompter, HostKeySpec spec, UpdateHostKeys mode, std::string algorithms,
                 Bytes session_id, Prove prove);
  ~HostKeyUpdater();
  HostKeyUpdater(const HostKeyUpdater&) = delete;
  HostKeyUpdater& operator=(const HostKeyUpdater&) = delete;

  // The data of kListRequest. Whatever comes of it, the server is answered with success, as by ssh. A second
  // list is ignored.
  void on_list(ByteView list);

  bool idle() const { return state_ == State::kIdle || state_ == State::kDone; }

 private:
  enum class State { kIdle, kPlanning, kProving, kVerifying, kAsking, kReplacing, kDone };
  struct Work;  // shared with pool threads, which own what they touch

  void set_state(State next);
  void on_planned();
  void on_proved(bool success, ByteView reply);
  void on_verified();
  void ask();
  void replace();
  void give_up(const std::string& why);
  std::string describe(const char* separator) const;

  Io& io_;
  Prompter* const prompter_;
  const HostKeySpec spec_;
  const UpdateHostKeys mode_;
  const Prove prove_;
  State state_ = State::kIdle;
  std::shared_ptr<Work> work_;
  std::shared_ptr<HostKeyUpdater*> alive_;  // replies may come after us
  std::unique_ptr<Operation> operation_;
};

}  // namespace jump
