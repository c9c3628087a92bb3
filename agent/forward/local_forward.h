// LocalForward: a listener here and a target there, as `ssh -L` has it; a wish that stays granted until
// closed. The listener stays bound while the bastion is away; a connection that arrives then waits, bounded,
// for it to come back.
//
//   listener ─► connection: wait for the host ─► open a channel ─► splice until both ends are done
//
// Invariants: every accepted connection is either spliced or ended promptly and counted as refused with the
// reason kept; destroying the forward ends all its connections.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "forward/spare_channels.h"
#include "route/host.h"
#include "stream/io.h"
#include "stream/splice.h"

namespace jump {

struct ForwardCounters {
  std::uint64_t connections = 0;  // now
  std::uint64_t connections_total = 0;
  std::uint64_t refused = 0;
  std::uint64_t bytes_in = 0;   // from the target
  std::uint64_t bytes_out = 0;  // to the target
};

struct ForwardLimits {
  Duration host_wait = seconds(10);     // a connection waits this long for its host
  Duration open_timeout = seconds(20);  // and then this long for the target's answer
  std::size_t max_connections = 10000;  // at once; more are turned away
};

class LocalForward {
 public:
  // kStarting: not listening yet. kActive: ready. kWaiting: listening, the host is away. kDegraded: the host
  // is there, and the target refused the last connection. The other states of the protocol belong to what
  // comes later.
  enum class State { kStarting, kActive, kWaiting, kDegraded };

  // `prewarm`: how many spare channels to the target are kept open; 0: none.
  LocalForward(Io& io, Host& host, std::string id, Endpoint listen, Endpoint target, std::size_t prewarm,
               const ForwardLimits& limits);
  ~LocalForward();
  LocalForward(const LocalForward&) = delete;
  LocalForward& operator=(const LocalForward&) = delete;

  // Binds the port. Errors: those of Io::listen.
  Status listen();
  // Opens the spare channels; the host is connected now.
  void prewarm();

  const std::string& id() const { return id_; }
  Host& host() const { return host_; }
  const Endpoint& wanted() const { return listen_; }  // as asked for, port 0 and all
  Endpoint local() const;                             // as bound
  const Endpoint& target() const { return target_; }
  State state() const;
  const std::optional<Error>& last_error() const { return last_error_; }
  TimePoint error_time() const { return error_time_; }
  TimePoint since() const { return since_; }
  ForwardCounters counters() const;
  ListenerStats listener_stats() const { return listener_ ? listener_->stats() : ListenerStats{}; }
  std::size_t spares_wanted() const { return spares_ ? spares_->wanted() : 0; }
  std::size_t spares_ready() const { return spares_ ? spares_->ready() : 0; }

 private:
  class Connection;

  ChannelOpen request() const;
  void on_accepted(std::unique_ptr<ByteStream> stream);
  void on_refused(const Error& error);
  void remove(Connection& connection);

  Io& io_;
  Host& host_;
  const std::string id_;
  const Endpoint listen_;
  const Endpoint target_;
  const ForwardLimits limits_;
  const TimePoint since_;
  std::unique_ptr<SpareChannels> spares_;  // null without prewarming
  std::unique_ptr<Listener> listener_;
  std::list<std::shared_ptr<Connection>> connections_;
  ForwardCounters past_;       // of connections that have ended
  bool refused_last_ = false;  // the target (not the host) refused the last connection
  std::optional<Error> last_error_;
  TimePoint error_time_;
};

}  // namespace jump
