// ListeningForward: what the forwards that listen on this machine have in common, LocalForward and
// DynamicForward: the listener, from its binding to its end. Whoever connects comes to on_accepted().
#pragma once

#include <memory>
#include <vector>

#include "forward/forward.h"

namespace jump {

class ListeningForward : public Forward {
 public:
  Status listen() override;
  void stop_listening() override;
  void retire() override;
  std::vector<int> sockets() const override { return listener_ ? listener_->sockets() : std::vector<int>{}; }
  void leave_name() override {
    if (listener_) listener_->leave_name();
  }
  Endpoint listening() const override;
  State state() const override;
  ListenerStats listener_stats() const override { return listener_ ? listener_->stats() : ListenerStats{}; }

 protected:
  using Forward::Forward;

  // A connection that is within the bounds, and counted.
  virtual void on_accepted(std::unique_ptr<ByteStream> stream) = 0;
  // The last connection found its target, as far as is known.
  virtual bool target_reached() const = 0;

 private:
  std::unique_ptr<Listener> listener_;
};

}  // namespace jump
