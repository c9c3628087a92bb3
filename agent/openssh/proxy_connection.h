// ProxyConnection: the ProxyUpstream of one client over one connection's Mux. It holds the client's raw
// channels, the channels that the server offers it, and what the server listens on for it; destroying it
// closes and cancels all of them, and nothing of other clients.
//
//   ProxyTranslator ─► open/send/listen … ─► Mux::open_raw(), RemoteListeners::listen() …
//   Mux's handlers ─► ProxyTranslator::on_packet(), offer(), on_answer()
//
// What cannot even be asked is answered by run_deferred(), so that the translator is never called from inside
// its own call. Sessions beyond the server's MaxSessions go to a further connection of the host; listening,
// and all other channels, have the first one. `wake` asks the owner, from whatever event, to call
// run_deferred() soon, then the translator's resume(), and to send its output. Invariant: no method of the
// Mux is called after on_raw_lost() or a failed ask.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "channel/mux.h"
#include "channel/remote_listeners.h"
#include "openssh/proxy_translator.h"
#include "openssh/proxy_upstream.h"
#include "stream/io.h"

namespace jump {

class ProxyConnection final : public ProxyUpstream {
 public:
  // Finds another connection of the host for a session that the server has refused on `full`, as that has as
  // many as it may. `found` is called from the loop, with one that is good for the call. Error: there is
  // none.
  using Found = std::function<void(Result<Mux*>)>;
  using Elsewhere = std::function<Result<std::unique_ptr<Operation>>(Mux& full, Found found)>;
  // So often is a session asked for: others may take the place that was found.
  static constexpr int kMaxTries = 8;

  // `mux` outlives it, or has failed before it ends.
  ProxyConnection(Mux* mux, std::function<void()> wake, Elsewhere elsewhere = nullptr);
  ~ProxyConnection();
  ProxyConnection(const ProxyConnection&) = delete;
  ProxyConnection& operator=(const ProxyConnection&) = delete;

  // Before anything else; it outlives this, or nothing comes from the Mux in between.
  void set_translator(ProxyTranslator* translator) { translator_ = translator; }
  void run_deferred();
  // The server opens a channel that is this client's, for another reason than listen() ("x11",
  // "auth-agent@…").
  void offer(IncomingChannel incoming);

  // Set when the connection has ended under a channel or listener of the client's: the client goes. Who has
  // none learns it from the hop.
  const Error* lost() const { return lost_ ? &*lost_ : nullptr; }
  std::size_t listeners() const { return listenings_.size(); }

  // --- ProxyUpstream ---
  void open(Channel channel, std::string_view type, ProxyGrant grant, ByteView specific) override;
  void accept(Channel channel, ProxyGrant grant, ByteView specific) override;
  void refuse(Channel channel, std::uint32_t reason, std::string_view text) override;
  void send(Channel channel, std::uint8_t type, ByteView rest) override;
  void release(Channel channel) override;
  void listen(Ticket ticket, const ProxyListen& at) override;
  void cancel(Ticket ticket, const ProxyListen& at) override;
  void ping(Ticket ticket) override;
  bool has_room() const override { return full_ == 0; }

 private:
  struct Link;
  struct Listening;
  using Listenings = std::list<std::unique_ptr<Listening>>;

  void defer(std::function<void()> work);
  void answer_later(Ticket ticket, bool success);
  void take(Channel channel, Result<std::unique_ptr<RawChannel>> raw);
  bool try_elsewhere(Link& link, std::uint8_t type, ByteView rest);
  void on_elsewhere(Channel channel, const Result<Mux*>& found);
  void on_listening(Listening& listening, Result<std::uint16_t> port);
  void set_lost(const Error& error);
  void forget(Listening& listening);

  Mux* mux_;
  std::function<void()> wake_;
  const Elsewhere elsewhere_;  // null: sessions have this connection only
  ProxyTranslator* translator_ = nullptr;
  std::size_t full_ = 0;  // links with more than Mux::kSendQueueMax under way
  std::map<Channel, std::unique_ptr<Link>> links_;
  Listenings listenings_;
  std::vector<std::function<void()>> deferred_;
  std::optional<Error> lost_;
  // For answers of the Mux that come after our end.
  const std::shared_ptr<ProxyConnection*> self_ = std::make_shared<ProxyConnection*>(this);
};

}  // namespace jump
