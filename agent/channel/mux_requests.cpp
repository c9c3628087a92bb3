// Mux, what sessions need beside their stream: requests on a channel, both ways, and extended data (stderr).
// Extended data shares the channel's window; what its owner does not take is held and not credited, so a
// reader of stderr that pauses stops the remote program as one of stdout does.
#include "base/log.h"
#include "base/printable.h"
#include "base/wire.h"
#include "channel/messages.h"
#include "channel/mux_slot.h"
#include "channel/server_limits.h"

namespace jump {

Status Mux::request(std::uint32_t number, std::string_view name, ByteView data, Channel::RequestReply reply) {
  Slot* slot = find(number);
  if (!slot || slot->phase != Phase::kOpen || slot->ends.close_sent())
    return Error{Errc::kClosed, "the channel is not open", {}};
  const bool want_reply = reply != nullptr;
  if (want_reply && slot->make_beside().replies.size() >= kMaxChannelRequests)
    return Error{Errc::kLimit, "too many requests wait for the server's answer", {}};
  if (Status taken = check_request(name, data, sink_->max_payload()); !taken) return taken;
  WireWriter packet;
  packet.u8(ssh::kChannelRequest).u32(slot->remote).string(name).boolean(want_reply).raw(data);
  if (!want_reply && (name == "signal" || name == "window-change"))
    return queue_repeatable(*slot, name == "signal", packet.take());
  queue_control(packet.take());
  if (want_reply) slot->beside->replies.push_back(std::move(reply));
  return {};
}

// What users cause again and again, also while nothing can be sent. Of sizes only the newest means something;
// the other requests without a reply come once, or as a session begins, and are bounded by what asked for it.
Status Mux::queue_repeatable(Slot& slot, bool signal, Bytes packet) {
  Slot::Beside& beside = slot.make_beside();
  if (!beside.unsent) beside.unsent = std::make_shared<Unsent>();
  Unsent& unsent = *beside.unsent;
  if (!signal && unsent.size) {
    *unsent.size = std::move(packet);
    return {};
  }
  if (signal && unsent.signals >= kMaxUnsentSignals) {
    counters_.signals_refused++;
    return Error{Errc::kLimit,
                 std::to_string(kMaxUnsentSignals) + " signals of this session wait for the network already",
                 "they are delivered when the connection moves again; to give up, end the session"};
  }
  queue_control(std::move(packet));
  control_.back().unsent = beside.unsent;
  if (signal) {
    unsent.signals++;
  } else {
    unsent.size = &control_.back().packet;
  }
  return {};
}

void Mux::on_control_sent(const Control& sent) {
  if (sent.owed) owed_--;
  if (!sent.unsent) return;
  if (sent.unsent->size == &sent.packet) {
    sent.unsent->size = nullptr;
  } else {
    sent.unsent->signals--;
  }
}

void Mux::on_channel_reply(bool success, WireReader& in) {
  Slot* slot = find_for_packet(in, "a reply");
  if (!slot) return;
  if (!slot->beside || slot->beside->replies.empty())
    return protocol_error("a reply to a channel request that was not made");
  Channel::RequestReply reply = std::move(slot->beside->replies.front());
  slot->beside->replies.pop_front();
  if (slot->channel) reply(success);
}

void Mux::on_channel_request(WireReader& in) {
  Slot* slot = find_for_packet(in, "channel request");
  if (!slot) return;
  const std::string_view name = in.text();
  const bool want_reply = in.boolean();
  if (!in.ok() || !slot->answered) return protocol_error("bad channel request");
  const bool done = slot->events && slot->events->on_request(name, in.rest());
  if (!done) log::debug("{}: channel request {} ignored", id_, printable(name, 64));
  if (!want_reply || slot->ends.close_sent()) return;
  WireWriter packet;
  packet.u8(done ? ssh::kChannelSuccess : ssh::kChannelFailure).u32(slot->remote);
  owe(packet.take());
}

void Mux::on_extended_data(WireReader& in) {
  WireReader start = in;
  Slot* slot = find_for_packet(in, "extended data");
  if (!slot) return;
  const std::uint32_t type = in.u32();
  ByteView data = in.string();
  if (!in.ok() || !slot->answered) return protocol_error("bad extended data packet");
  if (data.size() > slot->recv_window) return protocol_error("the server sent more than the window allows");
  slot->recv_window -= static_cast<std::uint32_t>(data.size());
  counters_.bytes_in += data.size();
  note_traffic(start.u32(), *slot, data.size());
  if (slot->ends.in() == HalfClose::In::kClosed || !slot->events) return credit(*slot);
  Slot::Beside& beside = slot->make_beside();
  if (beside.held.empty() && !beside.paused && !slot->tell_opened) {
    const std::size_t taken = slot->events->on_extended_data(type, data);
    if (taken == data.size()) return credit(*slot);
    beside.paused = true;
    data = data.subspan(taken);
  }
  // Servers have one type only; of several the last would name all that is held.
  beside.type = type;
  beside.held.append(data);
  counters_.held_in += data.size();
  budget_->held(data.size());
  credit(*slot);
}

void Mux::resume_extended(std::uint32_t number) {
  Slot* slot = find(number);
  if (!slot || !slot->beside || !slot->beside->paused) return;
  slot->beside->paused = false;
  visit_later(number);
}

void Mux::deliver_extended(std::uint32_t number) {
  Slot* slot = find(number);
  if (slot->beside && !slot->events &&
      !slot->beside->held.empty()) {  // its owner has gone, and did not want it
    counters_.held_in -= slot->beside->held.size();
    budget_->released(slot->beside->held.size());
    slot->beside->held.clear();
    credit(*slot);
  }
  while (slot && slot->beside && slot->events && !slot->beside->paused && !slot->beside->held.empty()) {
    const ByteView run = slot->beside->held.front();
    const std::size_t count = slot->events->on_extended_data(slot->beside->type, run);
    const bool all = count == run.size();
    slot = find(number);
    if (!slot || !slot->beside || slot->beside->held.empty()) return;  // closed by its owner just now
    slot->beside->held.consume(count);
    counters_.held_in -= count;
    budget_->released(count);
    credit(*slot);
    if (!all) slot->beside->paused = true;
  }
}

}  // namespace jump
