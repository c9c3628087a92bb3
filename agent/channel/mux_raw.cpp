// Mux, raw channels: numbers, turns and ends of channels whose packets are somebody else's (raw_channel.h).
#include <algorithm>
#include <array>
#include <utility>

#include "base/wire.h"
#include "channel/incoming_channel.h"
#include "channel/messages.h"
#include "channel/mux_slot.h"

namespace jump {
namespace {

// Bytes of data in a packet of that type.
std::size_t data_size(std::uint8_t type, ByteView rest) {
  std::size_t before = type == ssh::kChannelData ? 4 : type == ssh::kChannelExtendedData ? 8 : rest.size();
  return rest.size() - std::min(before, rest.size());
}

// What follows the recipient's number, in a packet for an open channel.
bool well_formed(std::uint8_t type, ByteView rest) {
  WireReader in(rest);
  switch (type) {
    case ssh::kChannelWindowAdjust:
      in.u32();
      return in.ok();
    case ssh::kChannelData:
      in.string();
      return in.ok();
    case ssh::kChannelExtendedData:
      in.u32();
      in.string();
      return in.ok();
    case ssh::kChannelRequest:
      in.string();
      in.u8();
      return in.ok();
    default:
      return true;
  }
}

}  // namespace

// --- RawChannel --------------------------------------------------------------------------------------------

RawChannel::~RawChannel() {
  if (mux_) mux_->abandon_raw(number_);
}

void RawChannel::send(std::uint8_t type, ByteView rest) {
  if (mux_) mux_->send_raw(number_, type, rest);
}

std::size_t RawChannel::queued() const { return mux_ ? mux_->find(number_)->raw->queued : 0; }

// --- commands ----------------------------------------------------------------------------------------------

std::unique_ptr<RawChannel> Mux::add_raw(RawChannelHandler* handler) {
  std::uint32_t number = take_number();
  auto channel = std::unique_ptr<RawChannel>(new RawChannel(this, number));
  auto slot = std::make_unique<Slot>();
  slot->phase = Phase::kRaw;
  slot->raw = std::make_unique<RawSide>();
  slot->raw->channel = channel.get();
  slot->raw->handler = handler;
  slots_[number] = std::move(slot);
  open_++;
  return channel;
}

Result<std::unique_ptr<RawChannel>> Mux::open_raw(std::string_view type, RawGrant grant, ByteView specific,
                                                  RawChannelHandler* handler) {
  if (Status room = check_room(); !room) return std::move(room).error();
  std::unique_ptr<RawChannel> channel = add_raw(handler);
  find(channel->number_)->session = type == "session";
  sessions_ += type == "session" ? 1 : 0;
  WireWriter packet;
  packet.u8(ssh::kChannelOpen).string(type).u32(channel->number_).u32(grant.window);
  packet.u32(std::min(grant.max_packet, kMaxPacket)).raw(specific);
  queue_control(packet.take());
  return channel;
}

Result<std::unique_ptr<RawChannel>> IncomingChannel::accept_raw(RawGrant grant, ByteView specific,
                                                                RawChannelHandler* handler) {
  Mux* mux = take_mux();
  if (!mux) return Error{Errc::kClosed, request_.describe() + ": the connection has ended", {}};
  return mux->confirm_peer_raw(peer_.number, grant, specific, handler);
}

std::unique_ptr<RawChannel> Mux::confirm_peer_raw(std::uint32_t remote, RawGrant grant, ByteView specific,
                                                  RawChannelHandler* handler) {
  std::unique_ptr<RawChannel> channel = add_raw(handler);
  Slot* slot = find(channel->number_);
  slot->answered = true;
  slot->remote = remote;
  counters_.peer_opens_accepted++;
  WireWriter packet;
  packet.u8(ssh::kChannelOpenConfirmation).u32(remote).u32(channel->number_).u32(grant.window);
  packet.u32(std::min(grant.max_packet, kMaxPacket)).raw(specific);
  owe(packet.take());
  return channel;
}

void Mux::send_raw(std::uint32_t number, std::uint8_t type, ByteView rest) {
  Slot* slot = find(number);
  RawSide& raw = *slot->raw;
  if (!slot->answered || raw.close_given) return;
  raw.close_given = type == ssh::kChannelClose;
  const std::size_t bytes = data_size(type, rest);
  counters_.bytes_out += bytes;
  if (bytes > 0) note_traffic(number, *slot, bytes);
  std::array<std::uint8_t, 5> head;
  head[0] = type;
  store_u32(&head[1], slot->remote);
  // As in send_now(): past the queue, and without a copy, when nothing else waits.
  bool first = raw.out.empty() && ring_.empty() && control_.empty() && !dispatching_ && sink_->has_room();
  if (first && sink_->send_packet(head, rest)) {
    sink_->wake();
    return end_raw(number);
  }
  Bytes packet(head.begin(), head.end());
  packet.insert(packet.end(), rest.begin(), rest.end());
  raw.queued += packet.size();
  counters_.queued_out += packet.size();
  raw.wants_room = raw.wants_room || raw.queued > kSendQueueMax;
  raw.out.push_back(std::move(packet));
  if (slot->in_ring) return;
  slot->in_ring = true;
  ring_.push_back(number);
  sink_->wake();
}

// --- packets -----------------------------------------------------------------------------------------------

void Mux::on_raw_packet(std::uint32_t number, std::uint8_t type, ByteView rest) {
  Slot* slot = find(number);
  RawSide& raw = *slot->raw;
  bool opens = type == ssh::kChannelOpenConfirmation || type == ssh::kChannelOpenFailure;
  if (opens == slot->answered || raw.peer_closed)
    return protocol_error("a packet that this channel cannot have");
  if (type == ssh::kChannelOpenConfirmation) {
    WireReader in(rest);
    slot->remote = in.u32();
    rest = rest.subspan(rest.size() - in.left());
    in.u32();
    if (in.u32() == 0) return protocol_error("bad open confirmation");  // also when it is too short
    slot->answered = slot->confirmed = true;
    confirmed_sessions_ += slot->session ? 1 : 0;
    most_sessions_ = std::max(most_sessions_, confirmed_sessions_);
    counters_.opened++;
    if (!raw.channel) return close_raw(number);  // given up meanwhile
  } else if (type == ssh::kChannelOpenFailure) {
    counters_.open_failed++;
    slot->answered = raw.close_given = raw.peer_closed = true;
  } else if (!well_formed(type, rest)) {
    return protocol_error("a malformed packet for a channel");
  }
  if (type == ssh::kChannelClose) raw.peer_closed = true;
  const std::size_t bytes = data_size(type, rest);
  counters_.bytes_in += bytes;
  if (bytes > 0) note_traffic(number, *slot, bytes);
  RawChannelHandler* handler = raw.handler;
  end_raw(number);
  if (handler) handler->on_raw_packet(type, rest);
}

// --- turns and ends ----------------------------------------------------------------------------------------

// Sends one turn's worth of packets. False: the sink is stuck.
bool Mux::send_raw_quantum(std::uint32_t number) {
  Slot* slot = find(number);
  RawSide& raw = *slot->raw;
  for (std::size_t sent = 0; sent < kQuantum && !raw.out.empty(); raw.out.pop_front()) {
    std::size_t size = raw.out.front().size();
    if (!sink_->has_room() || !sink_->send_packet(raw.out.front(), {})) return false;
    sent += size;
    raw.queued -= size;
    counters_.queued_out -= size;
  }
  slot->in_ring = !raw.out.empty();
  if (slot->in_ring) ring_.push_back(number);
  bool tell_room = raw.queued <= kSendQueueMax / 2 && std::exchange(raw.wants_room, false);
  RawChannelHandler* handler = raw.handler;
  end_raw(number);
  if (tell_room && handler) handler->on_raw_room();
  return true;
}

// Both CLOSEs were said: the owner's side is inert, and the number free once the last packet has gone.
void Mux::end_raw(std::uint32_t number) {
  Slot* slot = find(number);
  RawSide& raw = *slot->raw;
  if (!raw.close_given || !raw.peer_closed) return;
  forget_raw_owner(*slot);
  if (!slot->in_ring) free_number(number);
}

void Mux::forget_raw_owner(Slot& slot) {
  if (!slot.raw->channel) return;
  slot.raw->channel->mux_ = nullptr;
  slot.raw->channel = nullptr;
  slot.raw->handler = nullptr;
  open_--;
}

void Mux::abandon_raw(std::uint32_t number) {
  Slot* slot = find(number);
  forget_raw_owner(*slot);
  if (slot->answered) close_raw(number);
}

// Nothing but CLOSE is left to be said.
void Mux::close_raw(std::uint32_t number) {
  Slot* slot = find(number);
  RawSide& raw = *slot->raw;
  bool said = raw.close_given && raw.out.empty();
  counters_.queued_out -= std::exchange(raw.queued, 0);
  raw.out.clear();  // a CLOSE that waited at its end goes now
  raw.close_given = true;
  if (!said) {
    WireWriter packet;
    packet.u8(ssh::kChannelClose).u32(slot->remote);
    queue_control(packet.take());
  }
  end_raw(number);
}

void Mux::lose_raw(std::uint32_t number, const Error& error) {
  Slot* slot = find(number);
  counters_.queued_out -= std::exchange(slot->raw->queued, 0);
  slot->raw->out.clear();
  RawChannelHandler* handler = slot->raw->handler;
  forget_raw_owner(*slot);
  if (handler) handler->on_raw_lost(error);
}

}  // namespace jump
