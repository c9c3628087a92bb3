// Mux, channels that the peer opens: who is asked for them, and the answers.
#include <utility>

#include "base/log.h"
#include "base/printable.h"
#include "base/wire.h"
#include "channel/incoming_channel.h"
#include "channel/messages.h"
#include "channel/mux_slot.h"
#include "channel/remote_listeners.h"

namespace jump {
namespace {

constexpr std::size_t kMaxReasonText = 256;  // of ours, for the peer's log

}  // namespace

// --- Mux
// ----------------------------------------------------------------------------------------------------------

void Mux::set_peer_open_handler(std::string_view type, PeerOpenHandler handler) {
  if (handler) {
    peer_open_handlers_.insert_or_assign(std::string(type), std::move(handler));
  } else if (auto known = peer_open_handlers_.find(type); known != peer_open_handlers_.end()) {
    peer_open_handlers_.erase(known);
  }
}

RemoteListeners& Mux::remote_listeners() {
  if (!remote_listeners_) remote_listeners_ = std::make_unique<RemoteListeners>(*this);
  return *remote_listeners_;
}

void Mux::on_peer_open(WireReader& in) {
  std::string_view type = in.text();
  IncomingChannel::Peer peer;
  peer.number = in.u32();
  peer.window = in.u32();
  peer.max_packet = in.u32();
  std::optional<PeerOpen> request = in.ok() ? PeerOpen::parse(type, in.rest()) : std::nullopt;
  if (!request || peer.max_packet == 0) return protocol_error("bad channel open");
  counters_.peer_opens++;
  auto known = peer_open_handlers_.find(type);
  if (known == peer_open_handlers_.end()) {
    log::debug("{}: the server's open of a {} channel refused", id_, printable(type, 64));
    return refuse_peer(peer.number, ssh::kOpenAdministrativelyProhibited, "not requested");
  }
  if (pending_peer_opens_ >= kMaxPeerOpens || used_ + pending_peer_opens_ >= kMaxChannels) {
    log::debug("{}: too many channels: the server's open of a {} channel refused", id_, printable(type, 64));
    return refuse_peer(peer.number, ssh::kOpenResourceShortage, "too many channels");
  }
  pending_peer_opens_++;
  PeerOpenHandler handler = known->second;  // a copy, as it may have itself replaced
  handler(IncomingChannel(self_, peer, *std::move(request)));
}

void Mux::refuse_peer(std::uint32_t remote, std::uint32_t reason, std::string_view text) {
  counters_.peer_opens_refused++;
  WireWriter packet;
  packet.u8(ssh::kChannelOpenFailure).u32(remote).u32(reason);
  packet.string(text.substr(0, kMaxReasonText)).string(std::string_view());
  owe(packet.take());
}

// The peer's data and windows follow only after it has read this, so the channel is complete at once. An
// answer like a refusal: a peer that opens and closes without reading is cut off as well.
std::unique_ptr<Channel> Mux::confirm_peer(const IncomingChannel::Peer& peer, std::string describe,
                                           ChannelEvents* events) {
  std::unique_ptr<Channel> channel = add_channel(std::move(describe), events);
  std::uint32_t number = channel->number_;
  Slot* slot = find(number);
  slot->phase = Phase::kOpen;
  slot->answered = true;
  slot->remote = peer.number;
  slot->send_window = peer.window;
  slot->remote_max_packet = peer.max_packet;
  slot->tell_opened = events != nullptr;
  if (slot->tell_opened) visit_later(number);
  open_++;
  counters_.peer_opens_accepted++;
  WireWriter packet;
  packet.u8(ssh::kChannelOpenConfirmation).u32(peer.number).u32(number).u32(slot->window).u32(kMaxPacket);
  owe(packet.take());
  return channel;
}

// --- IncomingChannel
// ----------------------------------------------------------------------------------------------

IncomingChannel::~IncomingChannel() { refuse(ssh::kOpenConnectFailed, "nobody took it"); }

IncomingChannel& IncomingChannel::operator=(IncomingChannel&& other) noexcept {
  if (this == &other) return *this;
  refuse(ssh::kOpenConnectFailed, "nobody took it");
  mux_ = std::move(other.mux_);
  peer_ = other.peer_;
  request_ = std::move(other.request_);
  return *this;
}

// The Mux that waits for the answer, once.
Mux* IncomingChannel::take_mux() {
  std::shared_ptr<Mux*> mux = std::move(mux_);
  if (!mux || !*mux) return nullptr;
  (*mux)->pending_peer_opens_--;
  return *mux;
}

Result<std::unique_ptr<Channel>> IncomingChannel::accept(ChannelEvents* events) {
  Mux* mux = take_mux();
  if (!mux) return Error{Errc::kClosed, request_.describe() + ": the connection has ended", {}};
  return mux->confirm_peer(peer_, request_.describe(), events);
}

void IncomingChannel::refuse(std::uint32_t reason, std::string_view text) {
  if (Mux* mux = take_mux()) mux->refuse_peer(peer_.number, reason, text);
}

}  // namespace jump
