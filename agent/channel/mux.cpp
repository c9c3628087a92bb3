#include "channel/mux.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/log.h"
#include "base/wire.h"
#include "channel/messages.h"
#include "channel/mux_slot.h"
#include "channel/remote_listeners.h"
#include "channel/server_limits.h"

namespace jump {

Mux::Mux(PacketSink* sink, WindowBudget* budget, TimePoint now, Contention* contention, std::string id)
    : id_(std::move(id)),
      sink_(sink),
      budget_(budget),
      now_(now),
      contention_(contention ? contention : &alone_) {}

Mux::~Mux() {
  *self_ = nullptr;
  set_governed(false);
  for (auto& slot : slots_) {
    if (!slot) continue;
    if (slot->raw) {
      forget_raw_owner(*slot);
      continue;
    }
    if (slot->channel) slot->channel->mux_ = nullptr;
    if (slot->phase != Phase::kEnded) budget_->channel_ended();
    budget_->released(slot->held());
  }
}

// --- commands
// -----------------------------------------------------------------------------------------------------

Status Mux::global_request(std::string_view name, ByteView data, GlobalReply reply) {
  if (failed_) return Error{Errc::kClosed, "the connection has ended", {}};
  if (global_replies_.size() >= kMaxGlobalRequests) {
    return Error{Errc::kLimit, "too many requests wait for the server's answer", {}};
  }
  if (Status taken = check_request(name, data, sink_->max_payload()); !taken) return taken;
  WireWriter packet;
  packet.u8(ssh::kGlobalRequest).string(name).boolean(true).raw(data);
  queue_control(packet.take());
  global_replies_.push_back(std::move(reply));
  return {};
}

void Mux::set_handler(std::uint32_t number, StreamHandler* handler) {
  Slot* slot = find(number);
  if (!slot) return;
  slot->handler = handler;
  slot->paused = false;
  if (handler) visit_later(number);
}

std::size_t Mux::write(std::uint32_t number, ByteView data) {
  Slot* slot = find(number);
  if (!slot || slot->phase == Phase::kEnded || slot->tell_end) return 0;
  if (slot->ends.out() != HalfClose::Out::kOpen) return 0;
  std::size_t sent = send_now(*slot, data);
  data = data.subspan(sent);
  std::size_t room = kSendQueueMax - std::min(kSendQueueMax, slot->out.size());
  std::size_t count = std::min(room, data.size());
  slot->wants_room |= count < data.size();
  if (count > 0) {
    slot->out.append(data.first(count));
    counters_.queued_out += count;
    join_ring(number);
  }
  if (sent + count > 0) note_traffic(number, *slot, sent + count);
  return sent + count;
}

// When nothing waits that would have to go first, what is written goes straight to the sink, without a copy.
std::size_t Mux::send_now(Slot& slot, ByteView data) {
  bool first = slot.answered && slot.out.empty() && ring_.empty() && control_.empty() && !dispatching_;
  if (!first) return 0;
  std::size_t sent = 0;
  while (sent < data.size() && slot.send_window > 0 && sink_->has_room()) {
    std::size_t count = send_data(slot, data.subspan(sent));
    if (count == 0) break;
    sent += count;
  }
  if (sent > 0) sink_->wake();
  return sent;
}

// One data packet of what the window and the peer's packet size allow; 0: the sink is stuck.
std::size_t Mux::send_data(Slot& slot, ByteView data) {
  std::size_t count = std::min({data.size(), std::size_t{slot.send_window},
                                std::size_t{std::min(slot.remote_max_packet, kMaxPacket)}});
  std::array<std::uint8_t, 9> head;
  head[0] = ssh::kChannelData;
  store_u32(&head[1], slot.remote);
  store_u32(&head[5], static_cast<std::uint32_t>(count));
  if (!sink_->send_packet(head, data.first(count))) return 0;
  slot.send_window -= static_cast<std::uint32_t>(count);
  counters_.bytes_out += count;
  return count;
}

void Mux::resume_reading(std::uint32_t number) {
  Slot* slot = find(number);
  if (!slot || !slot->paused) return;
  slot->paused = false;
  visit_later(number);
}

void Mux::shutdown_write(std::uint32_t number) {
  if (Slot* slot = find(number))
    apply(number, slot->ends.owner_shutdown(slot->out.empty() && slot->answered));
}

void Mux::close(std::uint32_t number) {
  Slot* slot = find(number);
  if (!slot) return;
  discard_input(*slot);
  credit(*slot);
  apply(number, slot->ends.owner_close(slot->out.empty() && slot->answered));
}

void Mux::abort(std::uint32_t number) {
  Slot* slot = find(number);
  if (!slot || slot->phase == Phase::kEnded) return;
  slot->tell_end = true;
  slot->end_error = std::make_unique<Error>(Error{Errc::kClosed, "aborted", {}});
  discard_input(*slot);
  discard_output(*slot);
  visit_later(number);
}

void Mux::forget_owner(std::uint32_t number) {
  Slot* slot = find(number);
  if (!slot) return;
  slot->handler = nullptr;
  slot->events = nullptr;
}

// The owner has destroyed its Channel.
void Mux::abandon(std::uint32_t number) {
  Slot* slot = find(number);
  if (!slot) return;
  slot->channel = nullptr;
  slot->handler = nullptr;
  slot->events = nullptr;
  abort(number);
}

// --- input to owners
// ----------------------------------------------------------------------------------------------

void Mux::deliver(std::uint32_t number, ByteView data) {
  Slot* slot = find(number);
  if (slot->ends.in() == HalfClose::In::kClosed) return credit(*slot);  // the owner wants none of it
  if (slot->ends.in() == HalfClose::In::kDraining) return protocol_error("data after EOF");
  bool direct = slot->in.empty() && slot->handler && !slot->paused && !slot->tell_opened;
  if (!direct) {
    hold(*slot, data);
    return credit(*slot);
  }
  run_number_ = number;
  run_.push_back(data);
}

// Offers the run to the owner, and holds what it does not take.
void Mux::deliver_run() {
  if (run_.empty()) return;
  std::vector<ByteView> run = std::move(run_);
  std::uint32_t number = run_number_;
  Slot* slot = find(number);
  std::size_t taken = slot && slot->handler ? slot->handler->on_data_parts(run) : 0;
  slot = find(number);
  for (ByteView part : run) {
    std::size_t count = std::min(taken, part.size());
    taken -= count;
    if (!slot || count == part.size() || slot->ends.in() == HalfClose::In::kClosed) continue;
    slot->paused = true;
    hold(*slot, part.subspan(count));
  }
  if (slot) credit(*slot);  // not before all is held: until then the rest looks taken
  run.clear();
  run_ = std::move(run);  // for its capacity
}

void Mux::hold(Slot& slot, ByteView data) {
  slot.in.append(data);
  counters_.held_in += data.size();
  budget_->held(data.size());
}

void Mux::deliver_held(std::uint32_t number) {
  Slot* slot = find(number);
  while (slot && slot->handler && !slot->paused && !slot->in.empty()) {
    ByteView run = slot->in.front();
    std::size_t count = std::min(slot->handler->on_data(run), run.size());
    bool all = count == run.size();
    slot = find(number);
    if (!slot || slot->in.empty()) return;  // closed by its owner just now
    slot->in.consume(count);
    counters_.held_in -= count;
    budget_->released(count);
    credit(*slot);
    if (!all) slot->paused = true;
  }
  if (slot && slot->held() == 0) apply(number, slot->ends.in_drained());
}

void Mux::apply(std::uint32_t number, HalfClose::Actions actions) {
  Slot* slot = find(number);
  auto send = [&](std::uint8_t type) {
    WireWriter packet;
    packet.u8(type).u32(slot->remote);
    queue_control(packet.take());
  };
  if (actions.send_eof && slot->answered) send(ssh::kChannelEof);
  if (actions.send_close && slot->answered) send(ssh::kChannelClose);
  if (slot->phase == Phase::kEnded) return;
  if (actions.deliver_eof) slot->tell_eof = true;
  if (actions.finish) slot->tell_end = true;
  if (actions.deliver_eof || actions.finish) visit_later(number);
}

// The owner hears of the end, and the slot waits, without it, for what the peer still owes.
void Mux::end(std::uint32_t number, const Error* error) {
  Slot* slot = find(number);
  if (slot->phase == Phase::kOpening) {
    deadlines_.erase({slot->deadline, number});
  } else {
    open_--;
  }
  slot->phase = Phase::kEnded;
  leave_bulk(*slot);
  budget_->channel_ended();
  discard_input(*slot);
  discard_output(*slot);
  if (slot->answered) apply(number, slot->ends.owner_abort());  // CLOSE, unless it was said already
  StreamHandler* handler = slot->handler;
  if (slot->channel) slot->channel->mux_ = nullptr;
  slot->channel = nullptr;
  slot->handler = nullptr;
  slot->events = nullptr;
  release(number);
  if (handler) handler->on_closed(error);
}

void Mux::discard_input(Slot& slot) {
  counters_.held_in -= slot.held();
  budget_->released(slot.held());
  slot.in.clear();
  if (slot.beside) slot.beside->held.clear();
}

void Mux::discard_output(Slot& slot) {
  counters_.queued_out -= slot.out.size();
  slot.out.clear();
}

// Frees the number once owner, peer and send ring have all let go of it.
void Mux::release(std::uint32_t number) {
  Slot* slot = find(number);
  if (!slot || slot->phase != Phase::kEnded || !slot->ends.done() || slot->in_ring) return;
  free_number(number);
}

void Mux::free_number(std::uint32_t number) {
  const Slot& slot = *slots_[number];
  sessions_ -= slot.session ? 1 : 0;
  confirmed_sessions_ -= slot.session && slot.confirmed ? 1 : 0;
  past_sessions_ += slot.session && slot.confirmed ? 1 : 0;
  slots_[number].reset();
  free_.push_back(number);
  used_--;
}

// --- output
// -------------------------------------------------------------------------------------------------------

void Mux::join_ring(std::uint32_t number) {
  Slot* slot = find(number);
  if (slot->in_ring || !slot->answered) return;
  if (slot->send_window == 0) {
    counters_.window_stalls++;
    return;
  }
  slot->in_ring = true;
  ring_.push_back(number);
  sink_->wake();
}

void Mux::visit_later(std::uint32_t number) {
  Slot* slot = find(number);
  if (slot->visit) return;
  slot->visit = true;
  visits_.push_back(number);
  sink_->wake();
}

void Mux::queue_control(Bytes packet) {
  control_.push_back({std::move(packet), false, nullptr});
  sink_->wake();
}

void Mux::owe(Bytes packet) {
  control_.push_back({std::move(packet), true, nullptr});
  if (++owed_ > kMaxOwed) protocol_error("the server asks and does not read our answers");
  sink_->wake();
}

bool Mux::flush_control() {
  while (!control_.empty()) {
    if (!sink_->has_room() || !sink_->send_packet(control_.front().packet, {})) return false;
    on_control_sent(control_.front());
    control_.pop_front();
  }
  return true;
}

void Mux::pump(TimePoint now) {
  if (failed_) return;
  now_ = now;
  // What owners hear makes them write; what is written makes room that owners hear of. Two rounds settle the
  // usual; the rest waits for the next pump, so that one turn of the loop stays short.
  for (int round = 0; round < 2; ++round) {
    std::vector<std::uint32_t> visits;
    visits.swap(visits_);
    for (std::uint32_t number : visits) visit(number);
    if (failed_ || !flush_control()) return;
    while (!ring_.empty() && sink_->has_room()) {
      std::uint32_t number = ring_.front();
      ring_.pop_front();
      if (!send_quantum(number)) {
        ring_.push_front(number);
        return;
      }
    }
    if (!flush_control()) return;
  }
  if (!visits_.empty()) sink_->wake();
}

// Tells the owner what has happened, in the order in which it happened.
void Mux::visit(std::uint32_t number) {
  Slot* slot = find(number);
  if (!slot || !slot->visit) return;
  slot->visit = false;
  if (slot->phase == Phase::kEnded) return;
  if (std::exchange(slot->tell_opened, false) && slot->events) slot->events->on_opened();
  if (slot = find(number); !slot || slot->phase == Phase::kEnded) return;
  if (std::exchange(slot->tell_peer_ended, false) && slot->events) slot->events->on_peer_ended();
  if (slot = find(number); !slot || slot->phase == Phase::kEnded) return;
  deliver_extended(number);
  if (slot = find(number); !slot || slot->phase == Phase::kEnded) return;
  deliver_held(number);
  if (slot = find(number); !slot || slot->phase == Phase::kEnded) return;
  if (slot->handler && std::exchange(slot->tell_eof, false)) slot->handler->on_eof();
  if (slot = find(number); !slot || slot->phase == Phase::kEnded) return;
  if (slot->handler && std::exchange(slot->tell_room, false)) slot->handler->on_writable();
  if (slot = find(number); !slot || slot->phase == Phase::kEnded) return;
  if (slot->tell_end && (slot->handler || !slot->channel)) {
    std::unique_ptr<Error> error = std::move(slot->end_error);
    end(number, error.get());
  }
}

// Sends one turn's worth of a channel and puts it back in the ring if it has more. False: the sink is stuck.
bool Mux::send_quantum(std::uint32_t number) {
  Slot* slot = find(number);
  if (slot->raw) return send_raw_quantum(number);
  if (slot->phase == Phase::kEnded) {
    slot->in_ring = false;
    release(number);
    return true;
  }
  std::size_t budget = kQuantum;
  while (budget > 0 && !slot->out.empty() && slot->send_window > 0) {
    ByteView run = slot->out.front();
    std::size_t count = send_data(*slot, run.first(std::min(run.size(), budget)));
    if (count == 0) return false;  // and the number stays in the ring
    slot->out.consume(count);
    budget -= count;
    counters_.queued_out -= count;
  }
  slot->in_ring = false;
  if (slot->out.empty()) {
    apply(number, slot->ends.out_drained());
  } else {
    join_ring(number);
  }
  if (slot->wants_room && slot->out.size() <= kSendQueueMax / 2) {
    slot->wants_room = false;
    slot->tell_room = true;
    visit_later(number);
  }
  return true;
}

// --- ends
// ---------------------------------------------------------------------------------------------------------

void Mux::tick(TimePoint now) {
  now_ = now;
  if (now >= next_probe_) probe(now);
  while (!failed_ && !deadlines_.empty() && deadlines_.begin()->first <= now) {
    std::uint32_t number = deadlines_.begin()->second;
    Slot* slot = find(number);
    counters_.open_timeouts++;
    std::string what = slot->channel ? slot->channel->describe() + ": " : std::string();
    Error error{Errc::kTimeout, what + "no answer in time", {}};
    end(number, &error);
  }
}

TimePoint Mux::next_deadline() const {
  TimePoint probe_due = probing_ ? TimePoint::max() : next_probe_;
  return deadlines_.empty() ? probe_due : std::min(probe_due, deadlines_.begin()->first);
}

void Mux::fail(const Error& error) {
  if (failed_) return;
  failed_ = true;
  *self_ = nullptr;
  pending_peer_opens_ = 0;
  set_governed(false);
  for (std::uint32_t number = 0; number < slots_.size(); ++number) {
    Slot* slot = find(number);
    if (slot && slot->raw) lose_raw(number, error);
    if (!slot || slot->phase == Phase::kEnded || slot->raw) continue;
    // All had been delivered, and the owner would have heard so next.
    if (slot->handler && slot->held() == 0 && std::exchange(slot->tell_eof, false)) slot->handler->on_eof();
    if (slot = find(number); !slot || slot->phase == Phase::kEnded) continue;
    // What had ended in good order before the connection did stays a good end.
    bool orderly = slot->tell_end && !slot->end_error && slot->held() == 0;
    std::unique_ptr<Error> own = std::move(slot->end_error);
    end(number, orderly ? nullptr : own ? own.get() : &error);
  }
  ring_.clear();
  control_.clear();
  run_.clear();
  owed_ = 0;
  global_replies_.clear();
  if (remote_listeners_) remote_listeners_->fail(error);
}

void Mux::protocol_error(std::string message) {
  if (protocol_error_) return;
  protocol_error_ = Error{Errc::kProtocol, "the server broke the SSH protocol: " + std::move(message), {}};
  log::warn("{}: {}", id_, protocol_error_->message);
  sink_->wake();
}

Mux::Slot* Mux::find(std::uint32_t number) { return number < slots_.size() ? slots_[number].get() : nullptr; }

}  // namespace jump
