// RemoteListeners: what the server listens on for us, over one connection (RFC 4254 section 7.1, and
// OpenSSH's Unix sockets). It asks for it and cancels it, and gives each channel that the server opens for it
// to the listener that it is for.
//
//   listen() ─► tcpip-forward ─► the server's answer ─► on_listening()
//   the server's CHANNEL_OPEN forwarded-tcpip ─► by port and address ─► on_incoming()
//
// Owned by the Mux (Mux::remote_listeners()), so it ends with the connection; who wants to listen again asks
// the next one. Sans-IO. Invariants: one listener for one address and port; on_incoming() only between
// on_listening() with a port and the end of the RemoteListener; handlers run from the Mux's event processing
// only, and may destroy any RemoteListener, their own included.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/result.h"
#include "channel/incoming_channel.h"
#include "channel/mux.h"
#include "channel/remote_listen.h"

namespace jump {

class RemoteListeners;

class RemoteListenHandler {
 public:
  // The answer to listen(), once: the port that the server listens on (0: a Unix socket), or why it does not.
  // After an error nothing more is called. Errors: kRefused, kProtocol, kClosed or what else the connection
  // ended with.
  virtual void on_listening(Result<std::uint16_t> port) = 0;
  // Somebody has connected there. Let go of unanswered, it is refused.
  virtual void on_incoming(IncomingChannel incoming) = 0;
  // The connection has ended, and the listening with it; after on_listening() with a port. Last call.
  virtual void on_lost(const Error& error) = 0;

 protected:
  ~RemoteListenHandler() = default;
};

// Keeps the server listening. Destroying it cancels that, also while the answer is still on its way, and
// nothing is called any more; channels that came of it go on. It may outlive the connection: then it is
// inert.
class RemoteListener {
 public:
  ~RemoteListener();
  RemoteListener(const RemoteListener&) = delete;
  RemoteListener& operator=(const RemoteListener&) = delete;

 private:
  friend class RemoteListeners;
  RemoteListener(RemoteListeners* registry, std::uint64_t id) : registry_(registry), id_(id) {}

  RemoteListeners* registry_;  // null once there is nothing to cancel
  const std::uint64_t id_;
};

class RemoteListeners {
 public:
  // For one connection: each is a descriptor of sshd's, which has 1,024 in most places.
  static constexpr std::size_t kMaxListeners = 1024;
  // Requests on their way: half of what the Mux allows, so that keepalives find room among them. The rest
  // waits here, in order.
  static constexpr std::size_t kMaxAsked = Mux::kMaxGlobalRequests / 2;
  // Of an address or path: PATH_MAX of most systems.
  static constexpr std::size_t kMaxName = 4096;

  explicit RemoteListeners(Mux& mux);
  ~RemoteListeners();
  RemoteListeners(const RemoteListeners&) = delete;
  RemoteListeners& operator=(const RemoteListeners&) = delete;

  // Asks the server to listen. `handler` outlives the RemoteListener. Errors: kInvalid, kInUse (this
  // connection listens there already), kLimit, kClosed.
  Result<std::unique_ptr<RemoteListener>> listen(RemoteListen at, RemoteListenHandler* handler);

  std::size_t size() const { return entries_.size(); }      // listening, or asked for
  std::size_t waiting() const { return queue_.size(); }     // requests that wait for others' answers
  std::uint64_t unknown_opens() const { return unknown_; }  // channels for listeners that nobody has, ever

 private:
  friend class RemoteListener;
  friend class Mux;

  using Id = std::uint64_t;
  enum class State : std::uint8_t { kQueued, kAsked, kListening };
  struct Entry {
    RemoteListen at;  // with the chosen port, once it is known
    State state = State::kQueued;
    RemoteListener* listener = nullptr;
    RemoteListenHandler* handler = nullptr;
  };
  struct Request {
    RemoteListen at;
    Id listen = 0;  // for that entry; 0: cancel
  };
  // Port and address; a Unix socket has port 0 and its path.
  using Name = std::pair<std::uint16_t, std::string>;
  static Name name_of(const RemoteListen& at);

  // From the Mux.
  void ask_next();
  void fail(const Error& error);

  void withdraw(Id id);
  void cancel(const RemoteListen& at);
  void on_answer(Id id, const RemoteListen& asked, bool success, ByteView data);
  void not_listening(Id id, Error error);
  bool claim(const RemoteListen& at, Id id);
  void forget(Id id);
  void on_forwarded(IncomingChannel incoming);
  Entry* find(const PeerOpen& request);
  Entry* find_tcp(const ForwardedTcpip& request);
  Entry* listening(Id id);

  Mux& mux_;
  Id last_id_ = 0;
  std::map<Id, Entry> entries_;
  std::map<Name, Id> names_;  // of entries; not of those whose port is still to be chosen
  std::deque<Request> queue_;
  std::size_t asked_ = 0;
  std::uint64_t unknown_ = 0;
};

}  // namespace jump
