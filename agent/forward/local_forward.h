// LocalForward: a listener here and a target there, as `ssh -L` has it. The listener stays bound while the
// bastion is away; a connection that arrives then waits, bounded, for it to come back.
//
//   listener ─► connection: wait for the host ─► open a channel ─► splice until both ends are done
#pragma once

#include <memory>
#include <string>

#include "forward/listening_forward.h"
#include "forward/spare_channels.h"

namespace jump {

class LocalForward final : public ListeningForward {
 public:
  // `request` has a target; its `prewarm` says how many spare channels to it are kept open.
  LocalForward(Io& io, Host& host, std::string id, ForwardRequest request, const ForwardLimits& limits);
  ~LocalForward() override;

  void establish(Established done) override;
  void stop_listening() override;
  void retire() override;
  std::size_t spares_wanted() const override { return spares_ ? spares_->wanted() : 0; }
  std::size_t spares_ready() const override { return spares_ ? spares_->ready() : 0; }

 private:
  class Carried;

  ChannelOpen channel_open() const;
  void on_accepted(std::unique_ptr<ByteStream> stream) override;
  // A spare that is open shows that the target answers again.
  bool target_reached() const override { return !refused_last_ || spares_ready() > 0; }

  std::unique_ptr<SpareChannels> spares_;  // null without prewarming
  std::unique_ptr<Operation> watching_;    // the host's becoming connected, for the spares
  bool refused_last_ = false;  // the target (not the host) refused the last connection, or a spare
};

}  // namespace jump
