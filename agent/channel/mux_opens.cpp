// Mux, channels that we open: the request, and where it goes when no answer is to be hoped for on the
// connection that it was sent on. Also how any channel, the peer's as well, comes by its number and slot.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/wire.h"
#include "channel/messages.h"
#include "channel/mux_slot.h"
#include "channel/server_limits.h"

namespace jump {

Result<std::unique_ptr<Channel>> Mux::open(const ChannelOpen& request, TimePoint deadline,
                                           ChannelEvents* events) {
  if (Status room = check_room(); !room) return std::move(room).error();
  if (Status taken = check_request(request.type, request.specific, sink_->max_payload()); !taken)
    return std::move(taken).error();
  std::unique_ptr<Channel> channel = add_channel(request.describe, events);
  std::uint32_t number = channel->number_;
  Slot* slot = find(number);
  slot->session = request.type == "session";
  sessions_ += slot->session ? 1 : 0;
  if (slot->session) slot->ends = HalfClose(HalfClose::EndedBy::kPeer);
  ask(number, std::make_unique<ChannelOpen>(request), deadline);
  return channel;
}

void Mux::ask(std::uint32_t number, std::unique_ptr<ChannelOpen> request, TimePoint deadline) {
  Slot* slot = find(number);
  slot->deadline = slot->due = deadline;
  deadlines_.emplace(deadline, number);
  WireWriter packet;
  packet.u8(ssh::kChannelOpen)
      .string(request->type)
      .u32(number)
      .u32(slot->window)
      .u32(kMaxPacket)
      .raw(request->specific);
  slot->request = std::move(request);
  queue_control(packet.take());
}

std::size_t Mux::move_openings(Mux& to, Move move) {
  std::vector<std::uint32_t> numbers;
  for (const auto& [deadline, number] : deadlines_) numbers.push_back(number);
  std::size_t moved = 0;
  for (std::uint32_t number : numbers) {
    Slot* slot = find(number);
    const bool waits = slot && slot->phase == Phase::kOpening && !slot->answered && slot->request &&
                       slot->channel && slot->events && !slot->raw && !slot->tell_end &&
                       (move == Move::kOnwards || slot->ends_seen < kMaxEnds);
    if (!waits || !to.check_room() || !slot->events->on_move(to)) continue;
    counters_.queued_out -= slot->out.size();
    to.take_over(*slot, move);
    slot->channel = nullptr;
    slot->handler = nullptr;
    slot->events = nullptr;
    end(number, nullptr);  // should the peer confirm it after all, it is closed
    ++moved;
  }
  return moved;
}

// The owner's side of a channel that another connection was asked for.
void Mux::take_over(Slot& from, Move move) {
  const std::uint32_t number = add_slot(*from.channel, from.events);
  Slot* slot = find(number);
  slot->ends_seen = static_cast<std::uint8_t>(from.ends_seen + (move == Move::kOnwards ? 0 : 1));
  slot->session = from.session;
  sessions_ += slot->session ? 1 : 0;
  slot->ends = from.ends;
  slot->handler = from.handler;
  slot->wants_room = from.wants_room;
  slot->out = std::exchange(from.out, ByteQueue());
  counters_.queued_out += slot->out.size();
  const TimePoint due = from.due;
  ask(number, std::move(from.request),
      move == Move::kToWait ? std::min(due, from.events->waits_until()) : due);
  slot->due = due;
}

// That there is room for one more channel of ours.
Status Mux::check_room() const {
  if (failed_) return Error{Errc::kClosed, "the connection has ended", {}};
  if (used_ + pending_peer_opens_ < kMaxChannels) return {};
  return Error{
      Errc::kLimit, "too many channels on this connection (" + std::to_string(kMaxChannels) + ")", {}};
}

std::uint32_t Mux::take_number() {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  std::uint32_t number = free_.back();
  free_.pop_back();
  used_++;
  return number;
}

// A channel as each begins, ours and the peer's. That there is room for it is the caller's business.
std::unique_ptr<Channel> Mux::add_channel(std::string describe, ChannelEvents* events) {
  auto channel = std::unique_ptr<Channel>(new Channel(this, 0, std::move(describe)));
  add_slot(*channel, events);
  return channel;
}

std::uint32_t Mux::add_slot(Channel& channel, ChannelEvents* events) {
  std::uint32_t number = take_number();
  channel.mux_ = this;
  channel.number_ = number;
  auto slot = std::make_unique<Slot>();
  slot->channel = &channel;
  slot->events = events;
  // Two megabytes at once would be a queue that whoever types now has to sit through.
  bool careful = contention_->governed() || contention_->interactive(now_);
  slot->window = slot->recv_window = careful ? WindowBudget::kInitialMin * 2 : budget_->initial_window();
  slot->growth_start = now_;
  budget_->channel_opened();
  slots_[number] = std::move(slot);
  return number;
}

}  // namespace jump
