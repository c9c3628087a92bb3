// Safekeeping: what this agent listens on, and the forwards that clients asked for, in the hands of the
// service manager (its file descriptor store), which gives them to the next agent of the service. So a
// restart there, or a crash, refuses nobody: who connects meanwhile waits in the kernel's queue.
//
//   what Handover::list() says ─► one name per listening socket, one file in memory for the wishes
//   the same names, passed to the next agent at its start ─► Inheritance
//
// Invariants: what is kept is what this agent listens on, a loop turn later; the wishes are stored anew
// before the old ones are taken out, so an agent that is killed in between leaves some that are whole.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proto/messages.h"
#include "service_manager.h"
#include "stream/io.h"
#include "takeover.h"

namespace jump {

class Safekeeping {
 public:
  // One for each place where the agent listens: FileDescriptorStoreMax of the unit has room for two
  // descriptors each. What is beyond is not kept, and said once.
  static constexpr std::size_t kMostNames = 1000;
  // The manager reads when it gets to it, and its queue is short.
  static constexpr Duration kRetryGap = milliseconds(50);

  using List = std::function<proto::AgentHandoverResult(std::vector<int>*)>;

  // What was passed: kept by an agent before, or a socket unit's.
  static Inheritance sort(std::vector<ServiceManager::Passed> passed);

  // `control`: where the agent's own socket is.
  Safekeeping(Io& io, const ServiceManager& service, List list, std::string control);
  // `before`: what is kept already, with the wishes' generation. `control_elsewhere`: that one is a socket
  // unit's. Without a service manager it does nothing, here and below.
  void begin(const Inheritance::KeptNames& before, std::uint64_t generation, bool control_elsewhere);
  // What the agent listens on, or is logged in to, may be another now.
  void on_changed();
  // The agent has made its own socket anew: a socket unit's, if it was that, is found by nobody any more.
  void control_is_ours();
  // The next agent will be here for it.
  bool holds() const { return begun_ && !stored_.empty(); }
  // From now on it stands still.
  void stop();
  // Nobody is to come back.
  void end();

 private:
  struct Wanted;

  Wanted wanted() const;
  void sync();
  bool store_wishes(const std::string& text);

  Io& io_;
  const ServiceManager& service_;
  const List list_;
  const std::string control_;
  bool begun_ = false;
  bool control_elsewhere_ = false;
  bool said_full_ = false;
  Inheritance::KeptNames stored_;
  std::optional<std::string> wishes_;  // as this agent last stored them
  std::uint64_t generation_ = 0;
  std::unique_ptr<Deferred> soon_;
  std::unique_ptr<Timer> retry_;
};

}  // namespace jump
