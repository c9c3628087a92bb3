#include "openssh/proxy_connection.h"

#include <algorithm>
#include <utility>

#include "base/wire.h"
#include "channel/messages.h"

namespace jump {
namespace {

constexpr std::string_view kSession = "session";

}  // namespace

// One channel: offered by the server and not answered, or raw.
struct ProxyConnection::Link final : RawChannelHandler {
  Link(ProxyConnection* its_owner, Channel its_id) : owner(its_owner), id(its_id) {}
  ~Link() { set_full(false); }

  void on_raw_packet(std::uint8_t type, ByteView rest) override {
    ProxyConnection* its_owner = owner;
    if (its_owner->try_elsewhere(*this, type, rest)) return;
    asked.reset();
    its_owner->translator_->on_packet(id, type, rest);  // may end this
    its_owner->wake_();
  }
  void on_raw_room() override {
    set_full(false);
    owner->wake_();
  }
  void on_raw_lost(const Error& error) override { owner->set_lost(error); }
  void set_full(bool is_full) {
    if (std::exchange(full, is_full) == is_full) return;
    owner->full_ += is_full ? 1 : std::size_t(-1);
  }

  ProxyConnection* owner;
  const Channel id;
  std::optional<IncomingChannel> offered;
  std::unique_ptr<RawChannel> raw;
  // A session that the server has not answered yet: what was asked for, and where.
  struct Asked {
    Mux* mux;
    ProxyGrant grant;
    Bytes specific;
    int tries = 1;
  };
  std::optional<Asked> asked;
  std::unique_ptr<Operation> waiting;  // for another connection
  bool full = false;
};

// One address or path that the server listens on for this client.
struct ProxyConnection::Listening final : RemoteListenHandler {
  Listening(ProxyConnection* its_owner, Ticket its_ticket, ProxyListen where)
      : owner(its_owner), ticket(its_ticket), at(std::move(where)) {}

  void on_listening(Result<std::uint16_t> port) override { owner->on_listening(*this, std::move(port)); }
  void on_incoming(IncomingChannel incoming) override { owner->offer(std::move(incoming)); }
  void on_lost(const Error& error) override { owner->set_lost(error); }

  ProxyConnection* owner;
  const Ticket ticket;
  ProxyListen at;  // with the chosen port, once it is known
  bool answered = false;
  std::unique_ptr<RemoteListener> listener;
};

ProxyConnection::ProxyConnection(Mux* mux, std::function<void()> wake, Elsewhere elsewhere)
    : mux_(mux), wake_(std::move(wake)), elsewhere_(std::move(elsewhere)) {}

ProxyConnection::~ProxyConnection() { *self_ = nullptr; }

void ProxyConnection::defer(std::function<void()> work) {
  deferred_.push_back(std::move(work));
  wake_();
}

void ProxyConnection::answer_later(Ticket ticket, bool success) {
  defer([this, ticket, success] { translator_->on_answer(ticket, success, {}); });
}

void ProxyConnection::run_deferred() {
  for (auto& work : std::exchange(deferred_, {})) work();
}

void ProxyConnection::set_lost(const Error& error) {
  if (!lost_) lost_ = error;
  wake_();
}

// --- channels ----------------------------------------------------------------------------------------------

void ProxyConnection::open(Channel channel, std::string_view type, ProxyGrant grant, ByteView specific) {
  auto link = std::make_unique<Link>(this, channel);
  auto raw = mux_->open_raw(type, {grant.window, grant.max_packet}, specific, link.get());
  if (elsewhere_ && type == kSession) link->asked = {mux_, grant, to_bytes(specific)};
  links_[channel] = std::move(link);
  take(channel, std::move(raw));
}

// A refusal of a session may mean that the connection has as many as the server allows it.
bool ProxyConnection::try_elsewhere(Link& link, std::uint8_t type, ByteView rest) {
  if (!link.asked || type != ssh::kChannelOpenFailure) return false;
  const std::uint32_t reason = WireReader(rest).u32();
  const bool may_be_full =
      reason == ssh::kOpenAdministrativelyProhibited || reason == ssh::kOpenConnectFailed;
  if (!may_be_full || link.asked->tries++ >= kMaxTries) return false;
  auto found = elsewhere_(*link.asked->mux,
                          [this, channel = link.id](const Result<Mux*>& mux) { on_elsewhere(channel, mux); });
  if (!found) return false;
  link.raw.reset();
  link.set_full(false);
  link.waiting = *std::move(found);
  return true;
}

void ProxyConnection::on_elsewhere(Channel channel, const Result<Mux*>& found) {
  Link& link = *links_.at(channel);
  link.waiting.reset();
  if (!found) return take(channel, found.error());
  link.asked->mux = *found;
  const ProxyGrant& grant = link.asked->grant;
  take(channel, (*found)->open_raw(kSession, {grant.window, grant.max_packet}, link.asked->specific, &link));
}

void ProxyConnection::take(Channel channel, Result<std::unique_ptr<RawChannel>> raw) {
  if (raw) {
    links_.at(channel)->raw = *std::move(raw);
    return;
  }
  defer([this, channel, text = raw.error().message] {
    links_.erase(channel);
    translator_->on_refused(channel, ssh::kOpenResourceShortage, text);
  });
}

void ProxyConnection::offer(IncomingChannel incoming) {
  const PeerOpen& request = incoming.request();
  RawGrant grant = incoming.grant();
  std::optional<Channel> channel =
      translator_->offer(request.type, {grant.window, grant.max_packet}, request.encode());
  if (!channel) return incoming.refuse(ssh::kOpenResourceShortage, "too many channels");
  auto link = std::make_unique<Link>(this, *channel);
  link->offered.emplace(std::move(incoming));
  links_[*channel] = std::move(link);
  wake_();
}

void ProxyConnection::accept(Channel channel, ProxyGrant grant, ByteView specific) {
  Link& link = *links_.at(channel);
  auto raw = link.offered->accept_raw({grant.window, grant.max_packet}, specific, &link);
  link.offered.reset();
  if (raw) {
    link.raw = *std::move(raw);
  } else {
    set_lost(raw.error());  // the only reason that there is
  }
}

void ProxyConnection::refuse(Channel channel, std::uint32_t reason, std::string_view text) {
  links_.at(channel)->offered->refuse(reason, text);
  links_.erase(channel);
}

void ProxyConnection::send(Channel channel, std::uint8_t type, ByteView rest) {
  Link& link = *links_.at(channel);
  if (!link.raw) return;
  link.raw->send(type, rest);
  if (link.raw->queued() > Mux::kSendQueueMax) link.set_full(true);
}

void ProxyConnection::release(Channel channel) {
  // A RawChannel whose last packets still wait sees to them by itself.
  links_.erase(channel);
}

// --- questions ---------------------------------------------------------------------------------------------

void ProxyConnection::listen(Ticket ticket, const ProxyListen& at) {
  auto listening = std::make_unique<Listening>(this, ticket, at);
  RemoteListen where =
      at.path.empty() ? RemoteListen::tcp(at.address, at.port) : RemoteListen::unix_socket(at.path);
  auto made = mux_->remote_listeners().listen(std::move(where), listening.get());
  if (!made) return answer_later(ticket, false);
  listening->listener = *std::move(made);
  listenings_.push_back(std::move(listening));
}

void ProxyConnection::on_listening(Listening& listening, Result<std::uint16_t> port) {
  Ticket ticket = listening.ticket;
  listening.answered = true;
  WireWriter chosen;
  if (port && listening.at.path.empty() && listening.at.port == 0) {
    listening.at.port = *port;
    chosen.u32(*port);
  }
  if (!port) forget(listening);
  translator_->on_answer(ticket, port.ok(), chosen.view());
  wake_();
}

void ProxyConnection::forget(Listening& listening) {
  listenings_.remove_if([&](const auto& each) { return each.get() == &listening; });
}

// The Mux tells the server, which has no reason to refuse.
void ProxyConnection::cancel(Ticket ticket, const ProxyListen& at) {
  auto known =
      std::find_if(listenings_.begin(), listenings_.end(), [&](const auto& each) { return each->at == at; });
  bool found = known != listenings_.end();
  if (found && !(*known)->answered) answer_later((*known)->ticket, false);  // as nobody is called any more
  if (found) listenings_.erase(known);
  answer_later(ticket, found);
}

void ProxyConnection::ping(Ticket ticket) {
  Status asked =
      mux_->global_request("keepalive@openssh.com", {}, [self = self_, ticket](bool success, ByteView) {
        if (!*self) return;
        (*self)->translator_->on_answer(ticket, success, {});
        (*self)->wake_();
      });
  if (!asked) answer_later(ticket, false);
}

}  // namespace jump
