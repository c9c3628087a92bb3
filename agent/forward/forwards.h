// Forwards: all forwards that are wanted, by id, name and what they are. Owns them until they are closed.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "forward/local_forward.h"
#include "route/hosts.h"

namespace jump {

struct ForwardRequest {
  Endpoint listen;
  Endpoint target;
  std::string spec;                // what the user wrote, in canonical form
  std::string via;                 // empty: the only connected host
  std::string name;                // optional; unique
  std::size_t prewarm = 0;         // spare channels to the target
  Duration timeout = seconds(60);  // for the login that it may take
};

struct WantedForward {
  std::string name;
  std::string spec;
  std::unique_ptr<LocalForward> forward;
  bool established = false;  // its host was connected once; from then on it stays until closed
  int openers = 0;           // requests that wait for that; without any left it goes
};

class Forwards {
 public:
  static constexpr std::size_t kMaxForwards = 4096;

  Forwards(Io& io, Hosts& hosts, const ForwardLimits& limits) : io_(io), hosts_(hosts), limits_(limits) {}

  struct Opened {
    const WantedForward* wanted = nullptr;
    bool existing = false;
  };
  // Binds the listener, then connects the host. If either fails there is no forward. The same forward again
  // is the existing one, also while it is being opened. `done` may come at once. The returned operation, if
  // any, must be kept until `done`; destroying it withdraws the request.
  using OpenDone = std::function<void(Result<Opened>)>;
  std::unique_ptr<Operation> open(const ForwardRequest& request, OpenDone done);

  // By id, name or spec. Errors: kNotFound; kInvalid when a spec fits several.
  Result<const WantedForward*> find(const std::string& what) const;
  // The forward and its connections end.
  void close(const WantedForward* wanted);
  void close_all() { forwards_.clear(); }

  const std::list<WantedForward>& all() const { return forwards_; }

 private:
  class Opening;

  Result<Host*> choose_host(const std::string& via);
  Result<WantedForward*> find_or_listen(const ForwardRequest& request, Host& host);
  WantedForward* find_same(const ForwardRequest& request, const Host& host);
  WantedForward* find_id(const std::string& id);
  void opener_left(const std::string& id);
  Error explain_conflict(const Endpoint& listen, Error error) const;

  Io& io_;
  Hosts& hosts_;
  const ForwardLimits limits_;
  std::list<WantedForward> forwards_;
  std::uint64_t next_id_ = 1;
};

}  // namespace jump
