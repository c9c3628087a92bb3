// Mux::Slot: the protocol's side of one channel. Private to the sources of Mux.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "base/byte_queue.h"
#include "channel/mux.h"

namespace jump {

// Of a raw channel. `channel` and `handler` are the owner's side; both null once it has gone.
struct Mux::RawSide {
  RawChannel* channel = nullptr;
  RawChannelHandler* handler = nullptr;
  std::deque<Bytes> out;   // whole packets, for the peer
  std::size_t queued = 0;  // bytes in it
  bool wants_room = false;
  bool close_given = false;  // CLOSE was sent, or is the last in `out`
  bool peer_closed = false;
};

// What of a channel's requests without a reply waits for the network. The waiting packets share it with the
// slot, as they may outlive it.
struct Mux::Unsent {
  std::size_t signals = 0;
  Bytes* size = nullptr;  // the window-change, in control_
};

// `handler` and `channel` are the owner's side; both null once it has gone.
struct Mux::Slot {
  Phase phase = Phase::kOpening;
  bool answered = false;  // the peer has confirmed or refused the open
  bool in_ring = false;
  bool visit = false;       // listed in visits_
  bool paused = false;      // the owner took less than was offered; wait for resume_reading()
  bool wants_room = false;  // the owner was given a short write
  bool tell_opened = false, tell_peer_ended = false, tell_room = false, tell_eof = false, tell_end = false;
  HalfClose ends;
  bool session = false;    // a channel of type "session", which
  bool confirmed = false;  // the peer has opened
  // With Phase::kRaw; of the rest only remote, answered, in_ring and what its traffic is (second, recent)
  // count then.
  std::unique_ptr<RawSide> raw;

  Channel* channel = nullptr;
  StreamHandler* handler = nullptr;
  ChannelEvents* events = nullptr;
  std::unique_ptr<Error> end_error;  // with tell_end: why; null for an orderly end

  std::uint32_t remote = 0;  // the peer's channel number
  std::uint32_t remote_max_packet = 0;
  std::uint32_t send_window = 0;   // bytes the peer still allows
  std::uint32_t window = 0;        // what the peer may have under way and we may hold, together
  std::uint32_t recv_window = 0;   // bytes we still allow
  std::uint64_t growth_bytes = 0;  // that came since growth_start
  TimePoint growth_start;
  std::int64_t second = -1;                     // which second of the clock `recent` counts
  std::uint64_t recent = 0, recent_before = 0;  // bytes both ways in that second, and in the one before
  bool bulk = false;                            // listed in bulk_, there:
  std::size_t bulk_place = 0;
  ByteQueue in;   // for the owner
  ByteQueue out;  // for the peer
  TimePoint deadline;
  TimePoint due;                         // the deadline that was set when it was first asked for
  std::uint8_t ends_seen = 0;            // of connections, while it waited for an answer
  std::unique_ptr<ChannelOpen> request;  // what was asked for, until there is an answer

  // What only sessions have.
  struct Beside {
    std::uint32_t type = 0;  // of the extended data that is held
    ByteQueue held;          // for the owner
    bool paused = false;     // the owner took less than was offered; wait for resume_extended()
    std::deque<Channel::RequestReply> replies;
    std::shared_ptr<Unsent> unsent;  // null: none ever was counted
  };
  std::unique_ptr<Beside> beside;

  // For the owner, of both kinds.
  std::size_t held() const { return in.size() + (beside ? beside->held.size() : 0); }
  Beside& make_beside() {
    if (!beside) beside = std::make_unique<Beside>();
    return *beside;
  }

  // It moves bulk in that second of the clock, or did until the end of the one before.
  bool busy(std::int64_t at) const {
    std::uint64_t bytes = at == second ? recent + recent_before : at == second + 1 ? recent : 0;
    return bytes > kBulkBytes;
  }
};

}  // namespace jump
