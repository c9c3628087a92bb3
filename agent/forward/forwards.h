// Forwards: all forwards that are wanted, by id, name and what they are. Owns them until they are closed.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "forward/forward_request.h"
#include "forward/local_forward.h"
#include "route/hosts.h"

namespace jump {

struct WantedForward {
  std::string name;
  std::string spec;
  std::string via_rule;  // how its host was chosen, for a person; empty: it was named
  std::unique_ptr<LocalForward> forward;
  // Who wants it: clients, the config file (then this is its entry), or both. It goes when nobody does.
  bool by_client = false;
  std::optional<ForwardRequest> configured;
  std::optional<Error> unbound;  // why it cannot listen yet; it is tried again
  TimePoint unbound_since;
  bool established = false;  // its host was connected once; from then on it stays until closed
  int openers = 0;           // requests that wait for that; without any left it goes
};

class Forwards {
 public:
  static constexpr std::size_t kMaxForwards = 4096;  // unless set_limits() says otherwise

  // A forward of the config file whose port is taken looks again so often: a bind costs next to nothing.
  static constexpr Duration kRebindGap = seconds(2);

  Forwards(Io& io, Hosts& hosts, const ForwardLimits& limits);
  // For forwards that are opened from now on.
  void set_limits(const ForwardLimits& limits, std::size_t max_forwards);

  struct Opened {
    const WantedForward* wanted = nullptr;
    bool existing = false;
  };
  // Binds the listener, then connects the host. If either fails there is no forward. The same forward again
  // is the existing one, also while it is being opened. `done` may come at once. The returned operation, if
  // any, must be kept until `done`; destroying it withdraws the request.
  using OpenDone = std::function<void(Result<Opened>)>;
  std::unique_ptr<Operation> open(const ForwardRequest& request, OpenDone done);

  // The config file's: there from now on, connected or not. One that cannot listen is kept with the reason and
  // tried again. One that a client has opened is the file's too from then on. True when it is new here.
  bool keep(const ForwardRequest& request);
  // The config file wants it no longer. True when it is gone: a client may want it still.
  bool release(const ForwardRequest& request);
  // Opens the spare channels of the forwards over that host.
  void prewarm(const Host& host);

  // By id, name or spec. Errors: kNotFound; kInvalid when a spec fits several.
  Result<const WantedForward*> find(const std::string& what) const;
  // The forward and its connections end.
  void close(const WantedForward* wanted);
  void close_all() { forwards_.clear(); }
  // Of all listeners together, of closed forwards too.
  ListenerStats listener_stats() const;

  const std::list<WantedForward>& all() const { return forwards_; }

 private:
  class Opening;

  Result<WantedForward*> find_or_listen(const ForwardRequest& request, Host& host);
  Status check_room(const ForwardRequest& request) const;
  WantedForward& insert(const ForwardRequest& request, Host& host);
  WantedForward* find_same(const ForwardRequest& request, const Host& host);
  WantedForward* find_configured(const ForwardRequest& request);
  Status bind(WantedForward& wanted);
  void rebind();
  WantedForward* find_id(const std::string& id);
  void opener_left(const std::string& id);
  Error explain_conflict(const Endpoint& listen, Error error) const;

  Io& io_;
  Hosts& hosts_;
  ForwardLimits limits_;
  std::size_t max_forwards_ = kMaxForwards;
  std::list<WantedForward> forwards_;
  std::unique_ptr<Timer> rebind_timer_;
  ListenerStats past_listeners_;  // of closed forwards
  std::uint64_t next_id_ = 1;
};

}  // namespace jump
