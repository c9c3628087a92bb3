// UvDial: one connection attempt by name or path. Looks names up in the pool (BindAddress may be one, too),
// then races the addresses as RFC 8305 says: families alternate, a new address every kStagger or as soon as
// one fails, the first to connect wins and the others are closed; when all have failed, the whole race is run
// again as often as asked (ConnectionAttempts). One deadline spans it all. A literal address and localhost
// (also "") need no lookup. While a lookup takes longer than kAnew, the address that the name had the last
// time is tried beside it. Invariant: `done` is called at most once, last, from the loop; not at all after
// destruction.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "loop/deferred.h"
#include "loop/dial_source.h"
#include "loop/known_addresses.h"
#include "loop/loop.h"
#include "loop/socket_address.h"
#include "loop/socket_handle.h"
#include "loop/timer.h"
#include "loop/unix_path.h"
#include "stream/io.h"

namespace jump {

class UvDial final : public Operation {
 public:
  // `known` is learned from and added to.
  UvDial(Loop& loop, std::shared_ptr<KnownAddresses> known, const DialOptions& options, Io::DialResult done);
  ~UvDial() override;

 private:
  // RFC 8305, "Connection Attempt Delay".
  static constexpr milliseconds kStagger{250};
  // Between two attempts with all addresses: ssh's own.
  static constexpr seconds kAttemptGap{1};
  // Without an answer so long, a known address is tried beside a lookup, and each address is tried with a new
  // socket beside the old one: TCP doubles the pauses between its own tries.
  static constexpr seconds kAnew{2};
  // Sockets under way per address; the oldest go.
  static constexpr std::size_t kRounds = 3;
  // More addresses than this under one name are a mistake or an attack; each costs a descriptor.
  static constexpr std::size_t kMaxAddresses = 16;
  // A Unix listener with a full backlog refuses instead of making us wait, so we ask again.
  static constexpr milliseconds kBacklogRetry{20};

  struct Lookup;
  struct Attempt {
    UvDial* dial;
    std::shared_ptr<SocketHandle> handle;
    SocketAddress address;
  };
  struct Failure {
    std::string where;
    int status;
  };

  using Found = void (UvDial::*)(int status, const addrinfo* list);

  void start();
  void find_addresses();
  void look_up(const std::string& name, Found found);
  void source_looked_up(int status, const addrinfo* list);
  void host_looked_up(int status, const addrinfo* list);
  void race(std::vector<SocketAddress> addresses);
  bool race_known();
  void race_again();
  void try_again();
  void next_address();
  void connect_unix();
  void connected(Attempt* attempt, int status);
  void failed(std::string where, int status);
  void note_failure(std::string where, int status);
  void drop(Attempt* attempt);
  void cancel_all();
  void finish(Result<std::unique_ptr<ByteStream>> result);
  Error timeout_error() const;
  Error failure_error() const;

  Loop& loop_;
  const std::shared_ptr<KnownAddresses> known_;
  const DialOptions options_;
  const std::string host_;  // options_.target.host, or localhost
  Io::DialResult done_;
  std::shared_ptr<Lookup> lookup_;
  std::optional<UnixPath> path_;
  DialSource source_;
  std::vector<SocketAddress> addresses_;
  int attempts_left_ = options_.attempts;
  std::deque<SocketAddress> untried_;
  std::vector<std::unique_ptr<Attempt>> attempts_;
  std::vector<Failure> failures_;
  UvTimer deadline_;
  UvTimer again_;        // stagger, the gap between attempts, or the full backlog
  UvDeferred continue_;  // the first step, so that nothing is reported from inside dial()
};

}  // namespace jump
