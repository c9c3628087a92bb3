// ControlServer: the agent's Unix socket. It accepts clients, frames their lines and hands requests to the
// methods; what the methods do is not its business (see methods.h).
//
//   bytes ─► LineFramer ─► Request ─► Dispatcher::dispatch() ─► Reply ─► bytes
//
// Invariants: one client's garbage, silence or slowness costs only that client; every request gets exactly
// one answer while its client lives; what is buffered per client is bounded both ways; a client that waits
// for many things can still answer the questions that they bring.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "control/dispatcher.h"
#include "stream/io.h"

namespace jump {

struct ControlCounters {
  std::uint64_t clients = 0;          // served, ever
  std::uint64_t over_limit = 0;       // turned away: too many already
  std::uint64_t cut_off = 0;          // did not read their answers
  std::uint64_t pauses = 0;           // requests that waited, or were refused: too many of one client
  std::uint64_t protocol_errors = 0;  // malformed requests
};

class ControlServer {
 public:
  static constexpr std::size_t kMaxClients = 256;  // unless set_max_clients() says otherwise
  // Who has said nothing for so long makes room for another when there are too many.
  static constexpr Duration kHelloTime = seconds(2);
  // Answers that a client has not read yet; beyond it the client is cut off.
  static constexpr std::size_t kMaxQueued = 4 * 1024 * 1024;
  // Requests of one client that are being worked on, answers to questions aside. Beyond it they are held, in
  // their order; and beyond that they are refused, as not to read on could mean not to read an answer that
  // they wait for. A request that is held is short, so that all of them are no more than 4 MiB or so.
  static constexpr std::size_t kMaxPending = 64;
  static constexpr std::size_t kMaxHeld = 1024;
  static constexpr std::size_t kMaxHeldLine = 4 * 1024;
  // Descriptors that came with lines that are not complete; further ones are closed.
  static constexpr std::size_t kMaxPassed = 16;
  // Requests of one client that are begun in one turn of the loop: others get their turn in between.
  static constexpr int kRequestsPerTurn = 32;

  ControlServer(Io& io, const Dispatcher& dispatcher);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // Whoever comes from now on is another process's; those that are here are served on.
  void stop_accepting() { listener_.reset(); }
  // Errors: those of Io::listen.
  Status listen(const std::string& path);
  // `wanted`, and no more than a quarter of the process's `descriptors`: each client is one, and there must
  // be some for what they ask. Those that are there stay.
  void set_max_clients(std::size_t wanted, std::uint64_t descriptors);
  // No new clients and no new requests; what is being answered still gets out.
  void stop();

  std::size_t clients() const { return clients_.size(); }
  // Over the limit, or of another uid.
  std::uint64_t refused() const { return counters_.over_limit + listener_stats().turned_away; }
  const ControlCounters& counters() const { return counters_; }
  // Its descriptors, and that another process listens there now; see Listener.
  std::vector<int> sockets() const { return listener_ ? listener_->sockets() : std::vector<int>{}; }
  void leave_name() {
    if (listener_) listener_->leave_name();
  }
  ListenerStats listener_stats() const { return listener_ ? listener_->stats() : ListenerStats{}; }

 private:
  class Client;

  void on_accepted(std::unique_ptr<ByteStream> stream);
  void make_room();
  Error too_many() const;
  void remove(Client& client);

  Io& io_;
  const Dispatcher& dispatcher_;
  std::unique_ptr<Listener> listener_;
  std::list<std::shared_ptr<Client>> clients_;
  ControlCounters counters_;
  std::size_t max_clients_ = kMaxClients;
  bool descriptors_are_few_ = false;  // they are the limit
  std::uint64_t next_id_ = 1;
  bool stopped_ = false;
};

}  // namespace jump
