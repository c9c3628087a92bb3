// Mux, how much may be under way: credit and growth of receive windows, the measured round trip, and bulk
// that is held back while an interactive channel is active.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/wire.h"
#include "channel/messages.h"
#include "channel/mux_slot.h"

namespace jump {
namespace {

std::int64_t second_of(TimePoint now) {
  return std::chrono::duration_cast<seconds>(now.time_since_epoch()).count();
}

}  // namespace

// Tops up what the peer may send to the window, in steps.
void Mux::credit(Slot& slot) {
  if (!slot.answered) return;  // the peer's number for it is not known yet
  std::uint64_t granted = std::uint64_t{slot.recv_window} + slot.held();
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
  bool keeps_up = slot.held() < slot.window / 4;
  if (limited && keeps_up && !governed_ && slot.window < budget_->growth_limit()) {
    slot.window = std::min(2 * slot.window, std::max(slot.window, budget_->growth_limit()));
    counters_.window_growths++;
    counters_.largest_window = std::max<std::uint64_t>(counters_.largest_window, slot.window);
  }
  slot.growth_bytes = 0;
  slot.growth_start = now_;
}

void Mux::note_traffic(std::uint32_t number, Slot& slot, std::size_t bytes) {
  if (slot.phase == Phase::kEnded) return;  // its number may be another channel's soon
  std::int64_t second = second_of(now_);
  if (second != slot.second) {
    slot.recent_before = second == slot.second + 1 ? slot.recent : 0;
    slot.recent = 0;
    slot.second = second;
  }
  slot.recent += bytes;
  bool busy = slot.busy(second);
  if (busy && !slot.bulk && !slot.raw) {  // a raw channel's windows are not ours to hold back
    slot.bulk = true;
    slot.bulk_place = bulk_.size();
    bulk_.push_back(number);
  }
  // Who types after its own bulk meets nobody. What is held back stays bulk however little it moves: see
  // govern().
  if (!busy && !governed_) leave_bulk(slot);
  if (slot.bulk) bulk_bytes_ += bytes;
  if (busy) contention_->note_bulk(&slot, now_);
  if (!busy && bytes <= kTinyBytes) contention_->note_interactive(&slot, now_);
  if (!bulk_.empty() && contention_->interactive(now_) && next_probe_ == TimePoint::max()) {
    next_probe_ = now_;  // begins to measure; see on_probe_answer()
    bulk_bytes_ = 0;
    contention_->note_met();
    sink_->wake();
  }
}

std::size_t Mux::bulk_channels(TimePoint now) const {
  return static_cast<std::size_t>(std::count_if(bulk_.begin(), bulk_.end(), [&](std::uint32_t number) {
    return slots_[number]->busy(second_of(now));
  }));
}

void Mux::leave_bulk(Slot& slot) {
  if (!std::exchange(slot.bulk, false)) return;
  std::uint32_t last = bulk_.back();
  bulk_[slot.bulk_place] = last;
  find(last)->bulk_place = slot.bulk_place;
  bulk_.pop_back();
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
  if (!round_trip_.add(now_ - probe_sent_, now_)) return probe(now_);
  // The first answers are late: a server is busy right after a login.
  if (round_trip_.samples() < kFirstProbes) probe(now_);
  if (next_probe_ == TimePoint::max()) return;
  govern();
}

// One step of the governor, at the end of a measured round trip.
void Mux::govern() {
  // Bulk that is held back may move little: only silence ends it.
  for (std::size_t i = bulk_.size(); i-- > 0;) {
    if (Slot* slot = find(bulk_[i]); second_of(now_) - slot->second > 1) leave_bulk(*slot);
  }
  double delivered = static_cast<double>(std::exchange(bulk_bytes_, 0));
  if (bulk_.empty() || !contention_->interactive(now_)) return end_governing();
  if (!governed_) {
    set_governed(true);
    governor_.start(delivered);
  }
  contention_->note_met();
  governor_.on_round_trip(round_trip_.last(), round_trip_.base(), delivered);
  log::trace("{}: round trip {:.1f} of {:.1f} ms, {} bulk channels, {} bytes: window {}", id_,
             1000 * to_seconds(round_trip_.last()), 1000 * to_seconds(round_trip_.base()), bulk_.size(),
             delivered, governor_.window());
  auto share = static_cast<std::uint32_t>(
      std::clamp(governor_.window() / static_cast<double>(bulk_.size()), 2.0 * kMaxPacket,
                 static_cast<double>(std::max(budget_->growth_limit(), WindowBudget::kInitialMin))));
  for (std::uint32_t number : bulk_) {
    Slot* slot = find(number);
    slot->window = share;
    counters_.largest_window = std::max<std::uint64_t>(counters_.largest_window, share);
    credit(*slot);
  }
  next_probe_ = now_ + kProbeGap;
}

void Mux::set_governed(bool governed) {
  if (governed == governed_) return;
  governed_ = governed;
  contention_->count_governed(governed ? 1 : -1);
}

void Mux::end_governing() {
  next_probe_ = TimePoint::max();
  if (!governed_) return;
  set_governed(false);
  for (std::uint32_t number : bulk_) {
    Slot* slot = find(number);
    slot->window = std::max(slot->window, budget_->initial_window());
    credit(*slot);
  }
}

}  // namespace jump
