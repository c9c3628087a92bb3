// Forwards: all forwards that are wanted, by id, name and what they are. Owns them until nobody wants them.
//
//   open() by a client ─┐
//   keep() by the config file ─┼─► WantedForward: the Forward, and who wants it ─► close(), or the last who
//   restore() from the state file ─┘                                               wants it lets go
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "forward/forward.h"
#include "forward/forward_request.h"
#include "forward/rate_meter.h"
#include "route/hosts.h"

namespace jump {

// How long a client wants what it opens.
enum class Lifetime {
  kUntilClosed,  // or until the agent ends
  kHeld,         // as long as the client keeps the operation of Forwards::hold()
  kPersistent,   // until it is closed, across restarts of the agent
};

struct WantedForward {
  std::unique_ptr<Forward> forward;
  std::string via_rule;  // how its host was chosen, for a person; empty: it was named
  // Who wants it. It goes when nobody does.
  bool by_client = false;
  bool persistent = false;                   // by_client, and across restarts
  bool handed_over = false;                  // and its entry in the state file is still to be read
  std::size_t holders = 0;                   // clients that it is to end with
  std::optional<ForwardRequest> configured;  // its entry in the config file
  int openers = 0;                           // requests under way
  std::optional<Error> unbound;              // why it cannot listen here yet; it is tried again
  TimePoint unbound_since;
  bool leaving = false;      // let_go(): it is there for its connections only
  bool established = false;  // it has worked once, or is to be there anyway: it stays whatever happens
  RateMeter rate_in, rate_out;

  const std::string& id() const { return forward->id(); }
  const std::string& name() const { return forward->request().name; }
  const std::string& spec() const { return forward->request().spec; }
};

class Forwards {
 public:
  static constexpr std::size_t kMaxForwards = 4096;  // unless set_limits() says otherwise

  // One that is to be there anyway, and whose port is taken, looks again so often: a bind costs next to
  // nothing.
  static constexpr Duration kRebindGap = seconds(2);
  // While connections move bytes.
  static constexpr Duration kRateGap = seconds(1);

  Forwards(Io& io, Hosts& hosts, const ForwardLimits& limits);
  // For forwards that are opened from now on.
  void set_limits(const ForwardLimits& limits, std::size_t max_forwards);
  // Hears, from within, that the list or what is persistent() may be another now.
  void on_changed(std::function<void()> changed) { changed_ = std::move(changed); }

  struct Opened {
    const WantedForward* wanted = nullptr;
    bool existing = false;
  };
  // Takes its place here, connects the host, takes its place there. If one of these fails there is no
  // forward. The same forward again is the existing one, also while it is being opened; if that cannot be
  // connected, it stays what it was. `done` may come at once. The returned operation, if any, must be kept
  // until `done`; destroying it withdraws the request. With kHeld, `done` has to hold() it.
  using OpenDone = std::function<void(Result<Opened>)>;
  std::unique_ptr<Operation> open(const ForwardRequest& request, Lifetime lifetime, OpenDone done);
  // It stays at least as long as the operation.
  std::unique_ptr<Operation> hold(const WantedForward& wanted);

  // The config file's: there from now on, connected or not. One that cannot listen is kept with the reason
  // and tried again. One that a client has opened is the file's too from then on. True when it is new here.
  bool keep(const ForwardRequest& request);
  // The config file wants it no longer. True when it is gone: a client may want it still.
  bool release(const ForwardRequest& request);
  // The state file's, as keep().
  void restore(const ForwardRequest& request);
  // What is to be there after a restart, with the ports that were chosen.
  std::vector<ForwardRequest> persistent() const;

  // By id, name or spec. Errors: kNotFound; kInvalid when a spec fits several.
  Result<const WantedForward*> find(const std::string& what) const;
  // The forward and its connections end, whoever wants it.
  void close(const WantedForward* wanted);
  // It listens no longer, whoever wants it; its connections go on, and it is there as long as they are.
  void let_go(const WantedForward* wanted);
  void close_all();
  // None listens any more and none can be opened; what they carry goes on, also of those that nobody wants
  // any longer.
  void stop_listening();
  // What another agent has handed over: as it was there, with its id. A client wants it.
  void adopt(const ForwardRequest& request, const std::string& id, bool persistent);
  // Of all listeners together, of closed forwards too.
  ListenerStats listener_stats() const;

  const std::list<WantedForward>& all() const { return forwards_; }

 private:
  class Opening;
  class Hold;

  Result<WantedForward*> find_or_listen(const ForwardRequest& request, Host& host);
  Status check_room(const ForwardRequest& request) const;
  Status check_name(const WantedForward& wanted) const;
  Status check_remote(const WantedForward& wanted) const;
  Status check_path(const WantedForward& wanted) const;
  WantedForward& insert(const ForwardRequest& request, Host& host);
  WantedForward& insert(const ForwardRequest& request, Host& host, std::string id);
  WantedForward* find_same(const ForwardRequest& request, const Host& host);
  WantedForward* find_handed_over(const ForwardRequest& request, const Host& host);
  WantedForward* find_configured(const ForwardRequest& request);
  Status bind(WantedForward& wanted);
  void bind_or_wait(WantedForward& wanted, const char* whose);
  void stay(WantedForward& wanted);
  void rebind();
  void try_bind(WantedForward& wanted);
  WantedForward* find_id(const std::string& id);
  void close_if_unwanted(const std::string& id);
  const WantedForward* listener_on(const Endpoint& place) const;
  Error explain_conflict(const Endpoint& listen, Error error) const;
  void sample_rates();
  void drop_left();
  void changed() const {
    if (changed_) changed_();
  }

  Io& io_;
  Hosts& hosts_;
  ForwardLimits limits_;
  std::size_t max_forwards_ = kMaxForwards;
  std::function<void()> changed_;
  std::list<WantedForward> forwards_;
  std::unordered_map<std::string, std::list<WantedForward>::iterator> by_id_;  // all of them
  std::unique_ptr<Timer> rebind_timer_;
  std::unique_ptr<Timer> rate_timer_;
  bool sampling_ = false;
  ListenerStats past_listeners_;  // of closed forwards
  std::uint64_t next_id_ = 1;
  bool ending_ = false;  // stop_listening() was called
};

}  // namespace jump
