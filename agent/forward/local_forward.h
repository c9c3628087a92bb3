// LocalForward: a listener here and a target there, as `ssh -L` has it. The listener stays bound while the
// bastion is away; a connection that arrives then waits, bounded, for it to come back.
//
//   listener ─► connection: wait for the host ─► open a channel ─► splice until both ends are done
#pragma once

#include <memory>
#include <string>

#include "forward/forward.h"
#include "forward/spare_channels.h"

namespace jump {

class LocalForward final : public Forward {
 public:
  // `request` has a target; its `prewarm` says how many spare channels to it are kept open.
  LocalForward(Io& io, Host& host, std::string id, ForwardRequest request, const ForwardLimits& limits);
  ~LocalForward() override;

  Status listen() override;
  void establish(Established done) override;
  void stop_listening() override;
  std::vector<int> sockets() const override { return listener_ ? listener_->sockets() : std::vector<int>{}; }
  void leave_name() override {
    if (listener_) listener_->leave_name();
  }
  void retire() override;
  Endpoint listening() const override;
  State state() const override;
  ListenerStats listener_stats() const override { return listener_ ? listener_->stats() : ListenerStats{}; }
  std::size_t spares_wanted() const override { return spares_ ? spares_->wanted() : 0; }
  std::size_t spares_ready() const override { return spares_ ? spares_->ready() : 0; }

 private:
  class Carried;

  ChannelOpen channel_open() const;
  void on_accepted(std::unique_ptr<ByteStream> stream);

  std::unique_ptr<SpareChannels> spares_;  // null without prewarming
  std::unique_ptr<Operation> watching_;    // the host's becoming connected, for the spares
  std::unique_ptr<Listener> listener_;
  bool refused_last_ = false;  // the target (not the host) refused the last connection, or a spare
};

}  // namespace jump
