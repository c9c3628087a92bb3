// RemoteForward: the server listens, and what connects there is carried to a target here, as `ssh -R` has it;
// without a target, each client names its own (SOCKS, HTTP CONNECT).
//
//   the server's listener ─► IncomingChannel ─► dial the target ─► accept the channel ─► splice
//   dynamic: accept at once ─► ProxyClient: where to? ─► dial ─► splice
//
// It asks the server to listen whenever the host is connected, and makes the host connect again after a
// break, but not after a user's disconnect, nor when the login takes a person: then it waits until somebody
// connects. A server that refuses is asked again, ever more rarely: after a break the old connection's
// listener may be in the way until the server has noticed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "channel/remote_listeners.h"
#include "forward/forward.h"
#include "forward/proxy_client.h"

namespace jump {

class RemoteForward final : public Forward, private RemoteListenHandler {
 public:
  static constexpr Duration kFirstPause = seconds(1);
  static constexpr Duration kLongestPause = seconds(30);

  RemoteForward(Io& io, Host& host, std::string id, ForwardRequest request, const ForwardLimits& limits);
  ~RemoteForward() override;

  void establish(Established done) override;
  void stop_listening() override;
  void retire() override;
  Endpoint listening() const override;
  State state() const override;
  const TargetFailures* target_failures() const override { return request_.target ? nullptr : &failures_; }

 private:
  class Carried;
  class Proxied;

  void seek();
  void on_host(const Result<Mux*>& mux);
  // RemoteListenHandler
  void on_listening(Result<std::uint16_t> port) override;
  void on_incoming(IncomingChannel incoming) override;
  void on_lost(const Error& error) override;

  void on_refused(const Error& error);
  void tell(const Status& outcome);

  bool wanted_ = false;                   // establish() was called
  std::vector<Established> established_;  // that wait for an outcome
  std::unique_ptr<Operation> watching_;   // the host's becoming connected
  std::unique_ptr<Operation> waiting_;    // for the host
  std::unique_ptr<RemoteListener> listener_;
  std::optional<std::uint16_t> port_;  // while the server listens; 0: a Unix socket
  std::uint16_t last_port_ = 0;        // that it chose; asked for again after a break
  std::unique_ptr<Deferred> seek_soon_;
  std::unique_ptr<Timer> retry_timer_;
  Duration pause_ = kFirstPause;       // after the server has refused
  Duration host_pause_ = kFirstPause;  // after a login has failed
  bool refused_last_ = false;          // the target refused the last connection
  TargetFailures failures_;
};

}  // namespace jump
