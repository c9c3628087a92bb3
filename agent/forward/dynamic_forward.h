// DynamicForward: a listener here whose clients say where they want to go, over SOCKS or HTTP CONNECT, as
// `ssh -D` has it. Names are looked up at the far end.
//
//   listener ─► ProxyClient: where to? ─► wait for the host ─► open a channel ─► answer the client ─► splice
#pragma once

#include <memory>
#include <string>

#include "forward/listening_forward.h"
#include "forward/proxy_client.h"

namespace jump {

class DynamicForward final : public ListeningForward {
 public:
  DynamicForward(Io& io, Host& host, std::string id, ForwardRequest request, const ForwardLimits& limits);
  ~DynamicForward() override;

  void establish(Established done) override;
  const TargetFailures* target_failures() const override { return &failures_; }

 private:
  class Proxied;

  void on_accepted(std::unique_ptr<ByteStream> stream) override;
  bool target_reached() const override { return failures_.last_reached(); }

  TargetFailures failures_;
};

}  // namespace jump
