// Mux, what the peer says: each message of RFC 4254, checked and carried out.
#include <algorithm>
#include <limits>

#include "base/log.h"
#include "base/printable.h"
#include "base/wire.h"
#include "channel/messages.h"
#include "channel/mux_slot.h"
#include "channel/remote_listeners.h"

namespace jump {
namespace {

constexpr std::size_t kMaxServerText = 256;  // of a server's reason, in our error

}  // namespace

void Mux::handle_packet(ByteView payload, TimePoint now, More more) {
  if (failed_ || protocol_error_ || payload.empty()) return;
  now_ = now;
  dispatching_ = true;
  if (payload[0] != ssh::kChannelData) deliver_run();
  dispatch(payload);
  if (more == More::kNo || run_.size() >= kRunMax) deliver_run();
  dispatching_ = false;
}

void Mux::end_packets() {
  dispatching_ = true;
  deliver_run();
  dispatching_ = false;
}

void Mux::dispatch(ByteView payload) {
  WireReader in(payload);
  if (payload[0] >= ssh::kChannelOpenConfirmation && payload[0] <= ssh::kChannelFailure) {
    WireReader head(payload.subspan(1));
    std::uint32_t number = head.u32();
    Slot* slot = head.ok() ? find(number) : nullptr;
    if (slot && slot->raw) return on_raw_packet(number, payload[0], head.rest());
  }
  switch (std::uint8_t type = in.u8(); type) {
    case ssh::kChannelData:
      return on_data(in);
    case ssh::kChannelWindowAdjust:
      return on_window_adjust(in);
    case ssh::kChannelOpenConfirmation:
      return on_open_confirmation(in);
    case ssh::kChannelOpenFailure:
      return on_open_failure(in);
    case ssh::kChannelEof:
      return on_eof(in);
    case ssh::kChannelClose:
      return on_close(in);
    case ssh::kChannelRequest:
      return on_channel_request(in);
    case ssh::kChannelExtendedData:
      return on_extended_data(in);
    case ssh::kGlobalRequest:
      return on_global_request(in);
    case ssh::kRequestSuccess:
      return on_global_reply(true, in);
    case ssh::kRequestFailure:
      return on_global_reply(false, in);
    case ssh::kChannelOpen:
      return on_peer_open(in);
    case ssh::kChannelSuccess:
    case ssh::kChannelFailure:
      return on_channel_reply(type == ssh::kChannelSuccess, in);
    default:
      log::debug("{}: message {} ignored", id_, static_cast<int>(type));
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
  if (!in.ok() || slot->answered || slot->remote_max_packet == 0)
    return protocol_error("bad open confirmation");
  slot->answered = slot->confirmed = true;
  slot->request.reset();
  confirmed_sessions_ += slot->session ? 1 : 0;
  most_sessions_ = std::max(most_sessions_, confirmed_sessions_);
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
    case ssh::kOpenAdministrativelyProhibited:
      meaning = "the server forbids it";
      break;
    case ssh::kOpenConnectFailed:
      meaning = "the server could not connect";
      code = Errc::kUnreachable;
      break;
    case ssh::kOpenUnknownChannelType:
      meaning = "the server does not know this kind of channel";
      break;
    case ssh::kOpenResourceShortage:
      meaning = "the server is out of resources";
      break;
    default:
      break;
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
  if (WireReader peek = in; peek.u32() != run_number_) deliver_run();
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

void Mux::on_eof(WireReader& in) {
  WireReader start = in;
  Slot* slot = find_for_packet(in, "EOF");
  if (!slot) return;
  if (!slot->answered) return protocol_error("EOF on a channel that is not open");
  std::uint32_t number = start.u32();
  tell_peer_ended(number, *slot);
  apply(number, slot->ends.peer_eof(slot->held() == 0));
}

void Mux::on_close(WireReader& in) {
  WireReader start = in;
  Slot* slot = find_for_packet(in, "CLOSE");
  if (!slot) return;
  if (!slot->answered || slot->ends.peer_closed())
    return protocol_error("CLOSE on a channel that is not open");
  discard_output(*slot);
  std::uint32_t number = start.u32();
  tell_peer_ended(number, *slot);
  apply(number, slot->ends.peer_close(slot->held() == 0));
  release(number);
}

void Mux::tell_peer_ended(std::uint32_t number, Slot& slot) {
  if (!slot.events || slot.ends.in() != HalfClose::In::kOpen) return;
  slot.tell_peer_ended = true;
  visit_later(number);
}

void Mux::on_global_request(WireReader& in) {
  std::string_view name = in.text();
  bool want_reply = in.boolean();
  if (!in.ok()) return protocol_error("bad global request");
  bool done = global_request_handler_ && global_request_handler_(name, in.rest());
  if (!done)
    log::debug("{}: global request {} {}", id_, printable(name, 64), want_reply ? "refused" : "ignored");
  if (want_reply) owe(Bytes{done ? ssh::kRequestSuccess : ssh::kRequestFailure});
}

void Mux::on_global_reply(bool success, WireReader& in) {
  if (global_replies_.empty()) return protocol_error("a reply to a request that was not made");
  GlobalReply reply = std::move(global_replies_.front());
  global_replies_.pop_front();
  reply(success, in.rest());
  if (remote_listeners_) remote_listeners_->ask_next();
}

}  // namespace jump
