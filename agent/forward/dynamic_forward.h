// DynamicForward: a listener here whose clients say where they want to go, over SOCKS or HTTP CONNECT, as
// `ssh -D` has it. Names are looked up at the far end.
//
//   listener ─► ProxyClient: where to? ─► wait for the host ─► open a channel ─► answer the client ─► splice
#pragma once

#include <memory>
#include <string>

#include "forward/forward.h"
#include "forward/proxy_client.h"

namespace jump {

class DynamicForward final : public Forward {
 public:
  DynamicForward(Io& io, Host& host, std::string id, ForwardRequest request, const ForwardLimits& limits);
  ~DynamicForward() override;

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
  const TargetFailures* target_failures() const override { return &failures_; }

 private:
  class Proxied;

  void on_accepted(std::unique_ptr<ByteStream> stream);

  std::unique_ptr<Listener> listener_;
  TargetFailures failures_;
};

}  // namespace jump
