#include "channel/mux.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/log.h"
#include "base/printable.h"
#include "base/wire.h"
#include "channel/messages.h"

namespace jump {

namespace {

constexpr std::size_t kMaxServerText = 256;  // of a server's reason, in our error

}  // namespace

// The protocol's side of one channel. `handler` and `channel` are the owner's side; both null once it has gone.
struct Mux::Slot {
  Phase phase = Phase::kOpening;
  bool answered = false;       // the peer has confirmed or refused the open
  bool in_ring = false;
  bool visit = false;          // listed in visits_
  bool paused = false;         // the owner took less than was offered; wait for resume_reading()
  bool wants_room = false;     // the owner was given a short write
  bool tell_opened = false, tell_peer_ended = false, tell_room = false, tell_eof = false, tell_end = false;
  HalfClose ends;

  Channel* channel = nullptr;
  StreamHandler* handler = nullptr;
  ChannelEvents* events = nullptr;
  std::unique_ptr<Error> end_error;  // with tell_end: why; null for an orderly end

  std::uint32_t remote = 0;          // the peer's channel number
  std::uint32_t remote_max_packet = 0;
  std::uint32_t send_window = 0;     // bytes the peer still allows
  std::uint32_t window = 0;          // what the peer may have under way and we may hold, together
  std::uint32_t recv_window = 0;     // bytes we still allow
  std::uint64_t growth_bytes = 0;    // that came since growth_start
  TimePoint growth_start;
  std::int64_t second = -1;          // which second of the clock `recent` counts
  std::uint64_t recent = 0, recent_before = 0;  // bytes both ways in that second, and in the one before
  bool bulk = false;                 // listed in bulk_
  ByteQueue in;                      // for the owner
  ByteQueue out;                     // for the peer
  TimePoint deadline;
};

Mux::Mux(PacketSink* sink, WindowBudget* budget, TimePoint now) : sink_(sink), budget_(budget), now_(now) {}

Mux::~Mux() {
  for (auto& slot : slots_) {
    if (!slot) continue;
    if (slot->channel) slot->channel->mux_ = nullptr;
    if (slot->phase != Phase::kEnded) budget_->channel_ended();
    budget_->released(slot->in.size());
  }
}

// --- commands -----------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Channel>> Mux::open(const ChannelOpen& request, TimePoint deadline, ChannelEvents* events) {
  if (failed_) return Error{Errc::kClosed, "the connection has ended", {}};
  if (used_ >= kMaxChannels) {
    return Error{Errc::kLimit, "too many channels on this connection (" + std::to_string(kMaxChannels) + ")", {}};
  }
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  std::uint32_t number = free_.back();
  free_.pop_back();
  used_++;

  auto channel = std::unique_ptr<Channel>(new Channel(this, number, request.describe));
  auto slot = std::make_unique<Slot>();
  slot->channel = channel.get();
  slot->events = events;
  slot->deadline = deadline;
  slot->window = slot->recv_window = governed_ ? WindowBudget::kInitialMin * 2 : budget_->initial_window();
  slot->growth_start = now_;
  std::uint32_t window = slot->window;
  budget_->channel_opened();
  slots_[number] = std::move(slot);
  deadlines_.emplace(deadline, number);

  WireWriter packet;
  packet.u8(ssh::kChannelOpen).string(request.type).u32(number).u32(window).u32(kMaxPacket).raw(request.specific);
  queue_control(packet.take());
  return channel;
}

Status Mux::global_request(std::string_view name, ByteView data, GlobalReply reply) {
  if (failed_) return Error{Errc::kClosed, "the connection has ended", {}};
  if (global_replies_.size() >= kMaxGlobalRequests) {
    return Error{Errc::kLimit, "too many requests wait for the server's answer", {}};
  }
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
  note_traffic(number, *slot, data.size());
  std::size_t sent = send_now(*slot, data);
  data = data.subspan(sent);
  std::size_t room = kSendQueueMax - std::min(kSendQueueMax, slot->out.size());
  std::size_t count = std::min(room, data.size());
  slot->wants_room = count < data.size();
  if (count > 0) {
    slot->out.append(data.first(count));
    counters_.queued_out += count;
    join_ring(number);
  }
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
  if (Slot* slot = find(number)) apply(number, slot->ends.owner_shutdown(slot->out.empty() && slot->answered));
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

// --- packets ------------------------------------------------------------------------------------------------------

void Mux::handle_packet(ByteView payload, TimePoint now) {
  if (failed_ || protocol_error_ || payload.empty()) return;
  now_ = now;
  dispatching_ = true;
  dispatch(payload);
  dispatching_ = false;
}

void Mux::dispatch(ByteView payload) {
  WireReader in(payload);
  switch (std::uint8_t type = in.u8(); type) {
    case ssh::kChannelData: return on_data(in);
    case ssh::kChannelWindowAdjust: return on_window_adjust(in);
    case ssh::kChannelOpenConfirmation: return on_open_confirmation(in);
    case ssh::kChannelOpenFailure: return on_open_failure(in);
    case ssh::kChannelEof: return on_eof(in);
    case ssh::kChannelClose: return on_close(in);
    case ssh::kChannelRequest: return on_channel_request(in);
    case ssh::kChannelExtendedData: return on_extended_data(in);
    case ssh::kGlobalRequest: return on_global_request(in);
    case ssh::kRequestSuccess: return on_global_reply(true, in);
    case ssh::kRequestFailure: return on_global_reply(false, in);
    case ssh::kChannelOpen: return on_peer_open(in);
    case ssh::kChannelSuccess:
    case ssh::kChannelFailure: return;  // answers to requests that we do not make yet
    default: log::debug("mux: message {} ignored", static_cast<int>(type));
  }
}

Mux::Slot* Mux::find_for_packet(WireReader& in, const char* what) {
  std::uint32_t number = in.u32();
  Slot* slot = in.ok() ? find(number) : nullptr;
  if (!slot) protocol_error(std::string(what) + " for a channel that does not exist");
  return slot;
}

void Mux::on_open_confirmation(WireReader& in) {
  WireReader start = in;
  Slot* slot = find_for_packet(in, "open confirmation");
  if (!slot) return;
  std::uint32_t number = start.u32();
  slot->remote = in.u32();
  slot->send_window = in.u32();
  slot->remote_max_packet = in.u32();
  if (!in.ok() || slot->answered || slot->remote_max_packet == 0) return protocol_error("bad open confirmation");
  slot->answered = true;
  counters_.opened++;
  if (slot->phase == Phase::kEnded) {  // given up meanwhile: close what the peer has just made
    apply(number, slot->ends.owner_abort());
    return;
  }
  deadlines_.erase({slot->deadline, number});
  slot->phase = Phase::kOpen;
  open_++;
  slot->tell_opened = slot->events != nullptr;
  visit_later(number);
  if (slot->out.empty()) {
    apply(number, slot->ends.out_drained());
  } else {
    join_ring(number);
  }
}

void Mux::on_open_failure(WireReader& in) {
  WireReader start = in;
  Slot* slot = find_for_packet(in, "open failure");
  if (!slot) return;
  std::uint32_t number = start.u32();
  std::uint32_t reason = in.u32();
  std::string text(in.text());
  if (!in.ok() || slot->answered) return protocol_error("bad open failure");
  slot->answered = true;
  slot->ends.owner_abort();
  slot->ends.peer_close(true);  // there is nothing to close
  if (slot->phase == Phase::kEnded) return release(number);
  deadlines_.erase({slot->deadline, number});
  counters_.open_failed++;

  const char* meaning = "the server could not open the channel";
  Errc code = Errc::kRefused;
  switch (reason) {
    case ssh::kOpenAdministrativelyProhibited: meaning = "the server forbids it"; break;
    case ssh::kOpenConnectFailed:
      meaning = "the server could not connect";
      code = Errc::kUnreachable;
      break;
    case ssh::kOpenUnknownChannelType: meaning = "the server does not know this kind of channel"; break;
    case ssh::kOpenResourceShortage: meaning = "the server is out of resources"; break;
    default: break;
  }
  std::string message = slot->channel ? slot->channel->describe() + ": " + meaning : meaning;
  if (!text.empty()) message += " (" + printable(text, kMaxServerText) + ")";
  slot->tell_end = true;
  slot->end_error = std::make_unique<Error>(Error{code, std::move(message), {}});
  discard_output(*slot);
  visit_later(number);
}

void Mux::on_window_adjust(WireReader& in) {
  WireReader start = in;
  Slot* slot = find_for_packet(in, "window adjustment");
  if (!slot) return;
  std::uint32_t more = in.u32();
  if (!in.ok() || !slot->answered) return protocol_error("bad window adjustment");
  if (more > std::numeric_limits<std::uint32_t>::max() - slot->send_window) {
    return protocol_error("window adjusted beyond 2^32-1");
  }
  slot->send_window += more;
  if (!slot->out.empty()) join_ring(start.u32());
}

void Mux::on_data(WireReader& in) {
  WireReader start = in;
  Slot* slot = find_for_packet(in, "data");
  if (!slot) return;
  ByteView data = in.string();
  if (!in.ok() || !slot->answered) return protocol_error("bad data packet");
  if (data.size() > slot->recv_window) return protocol_error("the server sent more than the window allows");
  slot->recv_window -= static_cast<std::uint32_t>(data.size());
  counters_.bytes_in += data.size();
  std::uint32_t number = start.u32();
  note_traffic(number, *slot, data.size());
  grow_window(*slot, data.size());
  deliver(number, data);
}

// stderr of a session; channels that carry TCP have none, and nobody here asks for sessions: taken and dropped.
void Mux::on_extended_data(WireReader& in) {
  Slot* slot = find_for_packet(in, "extended data");
  if (!slot) return;
  in.u32();
  ByteView data = in.string();
  if (!in.ok() || !slot->answered) return protocol_error("bad extended data packet");
  if (data.size() > slot->recv_window) return protocol_error("the server sent more than the window allows");
  slot->recv_window -= static_cast<std::uint32_t>(data.size());
  credit(*slot);
}

void Mux::on_eof(WireReader& in) {
  WireReader start = in;
  Slot* slot = find_for_packet(in, "EOF");
  if (!slot) return;
  if (!slot->answered) return protocol_error("EOF on a channel that is not open");
  std::uint32_t number = start.u32();
  tell_peer_ended(number, *slot);
  apply(number, slot->ends.peer_eof(slot->in.empty()));
}

void Mux::on_close(WireReader& in) {
  WireReader start = in;
  Slot* slot = find_for_packet(in, "CLOSE");
  if (!slot) return;
  if (!slot->answered || slot->ends.peer_closed()) return protocol_error("CLOSE on a channel that is not open");
  discard_output(*slot);
  std::uint32_t number = start.u32();
  tell_peer_ended(number, *slot);
  apply(number, slot->ends.peer_close(slot->in.empty()));
  release(number);
}

void Mux::tell_peer_ended(std::uint32_t number, Slot& slot) {
  if (!slot.events || slot.ends.in() != HalfClose::In::kOpen) return;
  slot.tell_peer_ended = true;
  visit_later(number);
}

void Mux::on_channel_request(WireReader& in) {
  Slot* slot = find_for_packet(in, "channel request");
  if (!slot) return;
  std::string_view name = in.text();
  bool want_reply = in.boolean();
  if (!in.ok() || !slot->answered) return protocol_error("bad channel request");
  log::debug("mux: channel request {} ignored", printable(name, 64));
  if (!want_reply || slot->ends.close_sent()) return;
  WireWriter packet;
  packet.u8(ssh::kChannelFailure).u32(slot->remote);
  owe(packet.take());
}

void Mux::on_global_request(WireReader& in) {
  std::string_view name = in.text();
  bool want_reply = in.boolean();
  if (!in.ok()) return protocol_error("bad global request");
  log::debug("mux: global request {} {}", printable(name, 64), want_reply ? "refused" : "ignored");
  if (want_reply) owe(Bytes{ssh::kRequestFailure});
}

void Mux::on_global_reply(bool success, WireReader& in) {
  if (global_replies_.empty()) return protocol_error("a reply to a request that was not made");
  GlobalReply reply = std::move(global_replies_.front());
  global_replies_.pop_front();
  reply(success, in.rest());
}

void Mux::on_peer_open(WireReader& in) {
  std::string_view type = in.text();
  std::uint32_t remote = in.u32();
  if (!in.ok()) return protocol_error("bad channel open");
  log::debug("mux: the server's open of a {} channel refused", printable(type, 64));
  WireWriter packet;
  packet.u8(ssh::kChannelOpenFailure).u32(remote).u32(ssh::kOpenAdministrativelyProhibited);
  packet.string(std::string_view("not requested")).string(std::string_view());
  owe(packet.take());
}

// --- input to owners ----------------------------------------------------------------------------------------------

void Mux::deliver(std::uint32_t number, ByteView data) {
  Slot* slot = find(number);
  if (slot->ends.in() == HalfClose::In::kClosed) return credit(*slot);  // the owner wants none of it
  if (slot->ends.in() == HalfClose::In::kDraining) return protocol_error("data after EOF");
  if (slot->in.empty() && slot->handler && !slot->paused && !slot->tell_opened) {
    std::size_t count = std::min(slot->handler->on_data(data), data.size());
    slot = find(number);
    if (!slot) return;
    data = data.subspan(count);
    if (data.empty() || slot->ends.in() == HalfClose::In::kClosed) return credit(*slot);
    slot->paused = true;
  }
  slot->in.append(data);
  counters_.held_in += data.size();
  budget_->held(data.size());
  credit(*slot);
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
  if (slot && slot->in.empty()) apply(number, slot->ends.in_drained());
}

// Tops up what the peer may send to the window, in steps.
void Mux::credit(Slot& slot) {
  std::uint64_t granted = std::uint64_t{slot.recv_window} + slot.in.size();
  if (granted >= slot.window || slot.ends.close_sent()) return;
  auto more = static_cast<std::uint32_t>(slot.window - granted);
  if (more < slot.window / kCreditParts) return;
  WireWriter packet;
  packet.u8(ssh::kChannelWindowAdjust).u32(slot.remote).u32(more);
  slot.recv_window += more;
  queue_control(packet.take());
}

// Doubles the window when a whole one came within two round trips: then it, and not the path, was the limit.
void Mux::grow_window(Slot& slot, std::size_t arrived) {
  slot.growth_bytes += arrived;
  if (slot.growth_bytes < slot.window) return;
  bool limited = round_trip_.known() && now_ - slot.growth_start <= 2 * round_trip_.base();
  bool keeps_up = slot.in.size() < slot.window / 4;
  if (limited && keeps_up && !governed_ && slot.window < budget_->growth_limit()) {
    slot.window = std::min(2 * slot.window, std::max(slot.window, budget_->growth_limit()));
    counters_.window_growths++;
    counters_.largest_window = std::max<std::uint64_t>(counters_.largest_window, slot.window);
  }
  slot.growth_bytes = 0;
  slot.growth_start = now_;
}

// --- bulk and interactive channels ----------------------------------------------------------------------------

void Mux::note_traffic(std::uint32_t number, Slot& slot, std::size_t bytes) {
  std::int64_t second = std::chrono::duration_cast<seconds>(now_.time_since_epoch()).count();
  if (second != slot.second) {
    slot.recent_before = second == slot.second + 1 ? slot.recent : 0;
    slot.recent = 0;
    slot.second = second;
  }
  slot.recent += bytes;
  bool busy = slot.recent + slot.recent_before > kBulkBytes;
  if (busy && !slot.bulk) {
    slot.bulk = true;
    bulk_.push_back(number);
  }
  if (slot.bulk) bulk_bytes_ += bytes;
  if (!busy && bytes <= kTinyBytes) last_interactive_ = now_;
  bool interactive = now_ - last_interactive_ < kInteractiveHold;
  if (!bulk_.empty() && interactive && next_probe_ == TimePoint::max()) {
    next_probe_ = now_;  // begins to measure; see on_probe_answer()
    sink_->wake();
  }
}

void Mux::probe(TimePoint now) {
  if (probing_) return;
  Status asked = global_request("keepalive@openssh.com", {}, [this](bool, ByteView) { on_probe_answer(); });
  if (!asked) return;
  probing_ = true;
  probe_sent_ = now;
}

void Mux::on_probe_answer() {
  probing_ = false;
  round_trip_.add(now_ - probe_sent_, now_);
  // The first answers are late: a server is busy right after a login.
  if (round_trip_.samples() < kFirstProbes) probe(now_);
  if (next_probe_ == TimePoint::max()) return;
  govern();
}

// One step of the governor, at the end of a measured round trip.
void Mux::govern() {
  std::erase_if(bulk_, [&](std::uint32_t number) {
    Slot* slot = find(number);
    std::int64_t second = std::chrono::duration_cast<seconds>(now_.time_since_epoch()).count();
    bool busy = slot && slot->phase != Phase::kEnded && second - slot->second <= 1;
    if (slot && !busy) slot->bulk = false;
    return !busy;
  });
  double delivered = static_cast<double>(std::exchange(bulk_bytes_, 0));
  if (bulk_.empty() || now_ - last_interactive_ >= kInteractiveHold) return end_governing();
  if (!governed_) {
    governed_ = true;
    governor_.start(delivered);
  }
  governor_.on_round_trip(round_trip_.last(), round_trip_.base(), delivered);
  auto share = static_cast<std::uint32_t>(
      std::clamp(governor_.window() / static_cast<double>(bulk_.size()), 2.0 * kMaxPacket,
                 static_cast<double>(std::max(budget_->growth_limit(), WindowBudget::kInitialMin))));
  for (std::uint32_t number : bulk_) {
    Slot* slot = find(number);
    slot->window = share;
    credit(*slot);
  }
  next_probe_ = now_ + kProbeGap;
}

void Mux::end_governing() {
  next_probe_ = TimePoint::max();
  if (!std::exchange(governed_, false)) return;
  for (std::uint32_t number : bulk_) {
    Slot* slot = find(number);
    slot->window = std::max(slot->window, budget_->initial_window());
    credit(*slot);
  }
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
  counters_.held_in -= slot.in.size();
  budget_->released(slot.in.size());
  slot.in.clear();
}

void Mux::discard_output(Slot& slot) {
  counters_.queued_out -= slot.out.size();
  slot.out.clear();
}

// Frees the number once owner, peer and send ring have all let go of it.
void Mux::release(std::uint32_t number) {
  Slot* slot = find(number);
  if (!slot || slot->phase != Phase::kEnded || !slot->ends.done() || slot->in_ring) return;
  slots_[number].reset();
  free_.push_back(number);
  used_--;
}

// --- output -------------------------------------------------------------------------------------------------------

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
  control_.push_back({std::move(packet), false});
  sink_->wake();
}

void Mux::owe(Bytes packet) {
  control_.push_back({std::move(packet), true});
  if (++owed_ > kMaxOwed) protocol_error("the server asks and does not read our answers");
  sink_->wake();
}

bool Mux::flush_control() {
  while (!control_.empty()) {
    if (!sink_->has_room() || !sink_->send_packet(control_.front().packet, {})) return false;
    if (control_.front().owed) owed_--;
    control_.pop_front();
  }
  return true;
}

void Mux::pump(TimePoint now) {
  if (failed_) return;
  now_ = now;
  // What owners hear makes them write; what is written makes room that owners hear of. Two rounds settle the usual;
  // the rest waits for the next pump, so that one turn of the loop stays short.
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

// --- ends ---------------------------------------------------------------------------------------------------------

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
  for (std::uint32_t number = 0; number < slots_.size(); ++number) {
    Slot* slot = find(number);
    if (!slot || slot->phase == Phase::kEnded) continue;
    // What had ended in good order before the connection did stays a good end.
    bool orderly = slot->tell_end && !slot->end_error && slot->in.empty();
    std::unique_ptr<Error> own = std::move(slot->end_error);
    end(number, orderly ? nullptr : own ? own.get() : &error);
  }
  ring_.clear();
  control_.clear();
  owed_ = 0;
  global_replies_.clear();
}

void Mux::protocol_error(std::string message) {
  if (protocol_error_) return;
  protocol_error_ = Error{Errc::kProtocol, "the server broke the SSH protocol: " + std::move(message), {}};
  log::warn("mux: {}", protocol_error_->message);
  sink_->wake();
}

Mux::Slot* Mux::find(std::uint32_t number) { return number < slots_.size() ? slots_[number].get() : nullptr; }

}  // namespace jump
