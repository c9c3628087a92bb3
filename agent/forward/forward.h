// Forward: one wish to carry connections from where they arrive to where they are wanted, over one host. A
// wish stays granted until it is closed, whether the host is connected or away.
//
//   listening end ─► Connection: from its arrival to the end of both directions ─► target
//
// The kinds differ in which end is here and in who names the target:
//
//   LocalForward    listens here, one target there           ssh -L
//   DynamicForward  listens here, each client names a target ssh -D
//   RemoteForward   the server listens, the target is here   ssh -R, fixed or named by each client
//
// Invariants: every connection is either carried or ended promptly and counted as refused, with the reason
// kept; destroying the forward ends all its connections.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "forward/forward_request.h"
#include "forward/target_failures.h"
#include "route/host.h"
#include "stream/io.h"
#include "stream/splice.h"

namespace jump {

struct ForwardCounters {
  std::uint64_t connections = 0;  // now
  std::uint64_t connections_total = 0;
  std::uint64_t refused = 0;
  std::uint64_t bytes_in = 0;   // from the server
  std::uint64_t bytes_out = 0;  // to the server
};

struct ForwardLimits {
  Duration host_wait = seconds(10);     // a connection waits this long for its host
  Duration open_timeout = seconds(20);  // and then this long for the target's answer
  std::size_t max_connections = 10000;  // at once; more are turned away
};

class Forward {
 public:
  // kStarting: not listening yet. kActive: ready. kWaiting: wanted, the host is away. kDegraded: the host is
  // there, and the target refused the last connection. kBackoff: it cannot listen, and tries again. kEnding:
  // it listens no longer, and its connections go on.
  enum class State { kStarting, kActive, kWaiting, kDegraded, kBackoff, kEnding };

  virtual ~Forward();
  Forward(const Forward&) = delete;
  Forward& operator=(const Forward&) = delete;

  // Takes its place on this machine, if it has one. Errors: those of Io::listen; it may be asked again.
  virtual Status listen() { return {}; }
  // Does what takes a connection to the host: a remote listener, spare channels. From now on it is kept that
  // way, across reconnects. `done` (may be null) hears of the first outcome, at once or later; an error does
  // not end the forward.
  using Established = std::function<void(const Status&)>;
  virtual void establish(Established done) = 0;

  // Hears of each connection that arrives.
  void on_connection(std::function<void()> arrived) { arrived_ = std::move(arrived); }

  // Hears when it listens somewhere else than before: a server has chosen another port.
  void on_moved(std::function<void()> moved) { moved_ = std::move(moved); }

  // Leaves its place, here or on the server, for good; its connections go on. Not called from within a
  // connection.
  virtual void stop_listening() = 0;
  // The listening sockets here, which stay its own; see Listener.
  virtual std::vector<int> sockets() const { return {}; }
  virtual void leave_name() {}

  // It is wanted no longer: it stops listening and its connections end. Who waits for establish() hears
  // kClosed; nothing is called after this. It may be destroyed later.
  virtual void retire() = 0;

  const std::string& id() const { return id_; }
  Host& host() const { return host_; }
  const ForwardRequest& request() const { return request_; }
  // Where it listens: the port that was chosen, once it is known.
  virtual Endpoint listening() const = 0;
  virtual State state() const = 0;
  const std::optional<Error>& last_error() const { return last_error_; }
  TimePoint error_time() const { return error_time_; }
  TimePoint since() const { return since_; }
  ForwardCounters counters() const;
  virtual ListenerStats listener_stats() const { return {}; }
  virtual std::size_t spares_wanted() const { return 0; }
  virtual std::size_t spares_ready() const { return 0; }
  // Of forwards whose clients name the target.
  virtual const TargetFailures* target_failures() const { return nullptr; }

  // "127.0.0.1:8080 -> svc:80 via prod"
  std::string describe() const;

 protected:
  // One connection, in the list of its forward until it ends.
  class Connection {
   public:
    virtual ~Connection() = default;
    const Splice* splice() const { return splice_.get(); }

   protected:
    friend class Forward;
    // Between `local` (a program on this machine) and `channel` until both directions have ended.
    void carry(Io& io, std::unique_ptr<ByteStream> local, std::unique_ptr<ByteStream> channel,
               Splice::Done done);
    std::unique_ptr<Splice> splice_;

   private:
    std::uint64_t number_ = 0;  // of its forward's
    std::list<std::shared_ptr<Connection>>::iterator place_;
  };

  Forward(Io& io, Host& host, std::string id, ForwardRequest request, const ForwardLimits& limits);

  // Counts the newcomer; false (and counted as refused): there are too many.
  bool admit();
  void add(std::shared_ptr<Connection> connection);
  // It may be what is running now.
  void remove(Connection& connection);
  // For the log: "f3.17".
  std::string name_of(const Connection& connection) const;
  void note_refused(const Connection& connection, const Error& error);
  void note_broken(const Connection& connection, const Error* error) const;
  void note_error(const Error& error);
  void end_connections();
  void tell_moved() {
    if (moved_) moved_();
  }

  std::optional<Endpoint> left_;  // where it listened, after stop_listening()

  Io& io_;
  Host& host_;
  const std::string id_;
  const ForwardRequest request_;
  const ForwardLimits limits_;

 private:
  const TimePoint since_;
  std::function<void()> arrived_, moved_;
  std::list<std::shared_ptr<Connection>> connections_;
  ForwardCounters past_;  // of connections that have ended
  std::uint64_t last_number_ = 0;
  std::optional<Error> last_error_;
  TimePoint error_time_;
};

}  // namespace jump
