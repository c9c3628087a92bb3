// Handover: the old agent's side of an upgrade. A new agent, of the same user, asks for what this one listens
// on, takes its place, and says so; only then does this one stop.
//
//   agent.handover ─► copies of the listening sockets, and the wishes ─► agent.retire: from now on it only
//                     carries the connections that it has
//
// Both accept connections between the two, so none is refused. Invariant: until agent.retire, nothing has
// changed here, but that the list of forwards stands still while the new agent's connection is open, and for
// kMost at the longest: one that hangs is refused when it comes back, and this one serves on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "control/dispatcher.h"
#include "control/server.h"
#include "forward/forwards.h"
#include "openssh/mux_server.h"
#include "route/hosts.h"
#include "stream/io.h"

namespace jump {

// The other way round: what was handed over, as it was asked for.
Result<ForwardRequest> request_of(const proto::HandedForward& wish);

class Handover {
 public:
  // From agent.handover to agent.retire. More than a start takes on a slow disk, and than `up` waits for it
  // (kLaunchMax): every change is refused meanwhile.
  static constexpr Duration kMost = seconds(20);

  // `may`: why this agent cannot be replaced, if it cannot. `retire` is called when the new agent is in
  // place; it says how many connections are left.
  Handover(Io& io, const Hosts& hosts, const Forwards& forwards, const ControlServer& server,
           const MuxServer& mux, std::function<Status()> may, std::function<std::uint64_t()> retire);
  void bind(Dispatcher& dispatcher);

  // A new agent is about to take over: forwards cannot be opened or closed meanwhile.
  bool under_way() const { return heir_ != 0; }
  // What this agent listens on, and for whom; the sockets stay theirs.
  proto::AgentHandoverResult list(std::vector<int>* sockets) const;

 private:
  class Claim;

  void offer(const proto::AgentHandoverParams& params, const Reply<proto::AgentHandoverResult>& reply);
  Status may_retire(const Peer* heir) const;

  Io& io_;
  const Hosts& hosts_;
  const Forwards& forwards_;
  const ControlServer& server_;
  const MuxServer& mux_;
  const std::function<Status()> may_;
  const std::function<std::uint64_t()> retire_;
  std::uint64_t heir_ = 0;       // the client that is the new agent; 0: none
  std::weak_ptr<char> passing_;  // there as long as descriptors are being passed
  std::uint64_t late_ = 0;       // the last one that was given up
};

}  // namespace jump
