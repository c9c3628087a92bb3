// SessionPool: which of a host's connections carries the next session. A server lets a connection have so
// many sessions (sshd: MaxSessions, 10) and refuses the next; then a further connection is opened, if that
// takes no person, and the user notices nothing.
//
//   ask() ─► a connection with room ─► its Mux          refused() ─► the limit is known ─► ask() again
//        └─► none: a further one is dialled, one at a time; those who ask meanwhile wait for it
//
// An agent socket that is forwarded is one for all sessions of a connection, as the server does not say for
// which of them it asks; sessions of clients with different ones are kept apart.
//
// Invariants: the first connection is preferred, a further one is opened only when no other has room and the
// server is known to set a limit (or the agent socket differs), and it closes when it has idled; each ask()
// is answered once, or cancelled.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "channel/mux.h"
#include "route/lane.h"
#include "stream/io.h"

namespace jump {

class SessionPool {
 public:
  // Further connections of one host. With MaxSessions 1 that is as many sessions; each is a login and a
  // process on the server.
  static constexpr std::size_t kMaxFurther = 32;
  // A connection that has refused a session is not asked for one again so long: the server may still count
  // sessions there that have ended for us.
  static constexpr Duration kFullTime = seconds(2);
  // Whoever asks while all connections are full waits so long for a session to end.
  static constexpr Duration kRoomTime = seconds(5);
  static constexpr Duration kLookGap = milliseconds(250);

  // What the pool needs of its host.
  class Source {
   public:
    // The host's first connection, or the one that serves in its stead while it is in doubt; null: it is not
    // connected.
    virtual Mux* first_connection() const = 0;
    // Why no further connection may be opened; none: it may.
    virtual std::optional<Error> no_further() const = 0;
    virtual void dial_further(Lane& lane) = 0;

   protected:
    ~Source() = default;
  };

  SessionPool(Io& io, WindowBudget& budget, std::shared_ptr<Contention> contention, Source& source,
              std::function<void()> changed);
  ~SessionPool();
  SessionPool(const SessionPool&) = delete;
  SessionPool& operator=(const SessionPool&) = delete;

  // A session's claim on a connection: while it lives, that connection forwards no other agent socket.
  using Claim = std::shared_ptr<void>;
  // Makes that of a connection that has none; sessions with the same agent socket share it.
  using MakeClaim = std::function<Claim(Mux& mux)>;
  struct Place {
    Mux* mux = nullptr;  // good for the call: open the channel at once
    Claim claim;         // null without an agent socket
  };
  // Calls `done` from the loop, or at once. `agent_socket`: empty: none is forwarded. Errors: kClosed (not
  // connected), kLimit, those of a login.
  using Placed = std::function<void(Result<Place>)>;
  std::unique_ptr<Operation> ask(const std::string& agent_socket, MakeClaim make_claim, Placed done);
  // The server has refused a session on `mux`. Error: it would refuse the next one too (it has never allowed
  // one).
  Status refused(Mux& mux);

  // The host has logged in anew.
  void allow();
  // The way to the server may have gone.
  void suspect();
  // Takes note of what became of the connections.
  void update();
  // Ends the further connections.
  void close(const Error& reason);
  // The same from the owner's destructor.
  void end(const Error& reason);

  // Of each: null until it is logged in.
  std::vector<const Hop*> further() const;
  std::uint64_t logins() const;
  std::optional<std::size_t> limit() const { return limit_; }

 private:
  class Waiter;
  struct Full {
    Mux* mux;
    TimePoint until;
  };
  struct Use {
    Mux* mux;
    std::string agent_socket;
    std::weak_ptr<void> claim;
  };

  Mux* with_room(const std::string& agent_socket);
  bool fits(const Mux& mux, const std::string& agent_socket);
  Place take(Mux& mux, const Waiter& waiter);
  void serve();
  void refuse_all(const Error& error);
  bool dial();
  void wait_for_room(const Error& error);
  Error too_many(const Error& why) const;

  Io& io_;
  WindowBudget& budget_;
  const std::shared_ptr<Contention> contention_;
  Source& source_;
  const std::function<void()> changed_;
  // Sessions of one connection, once the server has refused one more: as many as there were at most. It is
  // certain when none had ended there before; until then each connection may be asked for one more.
  std::optional<std::size_t> limit_;
  bool limit_is_certain_ = false;
  std::vector<std::unique_ptr<Lane>> further_;
  std::uint64_t past_logins_ = 0;  // of those that have gone
  std::vector<Full> full_;
  std::vector<Use> uses_;
  std::list<Waiter*> waiters_;  // each belongs to its asker
  std::unique_ptr<Deferred> serve_soon_;
  std::unique_ptr<Timer> look_timer_;
};

}  // namespace jump
