// HalfClose: when a channel sends EOF and CLOSE and when its owner hears of the end (RFC 4254 section 5.3).
// Two small states, one per direction. Events change states and say which actions follow; actions change
// nothing. Invariants: EOF and CLOSE are each sent at most once, EOF never after CLOSE; the owner hears of
// the peer's EOF at most once, and only after the last byte; kFinish comes exactly once.
#pragma once

#include <cstdint>

namespace jump {

class HalfClose {
 public:
  // in: from the peer to our owner. kDraining: the peer has ended, bytes are still held for the owner.
  enum class In : std::uint8_t { kOpen, kDraining, kClosed };
  // out: from our owner to the peer. kDraining: the owner has ended, bytes are still queued for the peer.
  enum class Out : std::uint8_t { kOpen, kDraining, kClosed };

  struct Actions {
    bool deliver_eof = false;  // tell the owner: nothing more will come
    bool send_eof = false;
    bool send_close = false;
    bool finish = false;  // tell the owner: orderly end of both directions
  };

  HalfClose() = default;
  // kPeer: EOFs of both sides do not end the channel, only the peer's CLOSE does: a session's exit status may
  // come long after its output has ended.
  enum class EndedBy : std::uint8_t { kBothEofs, kPeer };
  explicit HalfClose(EndedBy by) : ended_by_(by) {}

  // Events. `empty`: nothing is held in that direction.
  Actions peer_eof(bool in_empty) {
    if (in_ == In::kOpen) in_ = In::kDraining;
    return in_empty ? in_drained() : Actions{};
  }
  // The peer wants nothing more, either way: what we still hold for it is void, what we hold for the owner is
  // not. CLOSE is answered at once, so that the peer can forget the channel while our owner still reads.
  Actions peer_close(bool in_empty) {
    Actions actions;
    actions.send_close = !close_sent_;
    close_sent_ = true;
    peer_closed_ = true;
    out_ = Out::kClosed;
    if (in_ == In::kOpen) in_ = In::kDraining;
    if (!in_empty) return actions;
    Actions more = in_drained();
    more.send_close = actions.send_close;
    return more;
  }
  Actions in_drained() {
    Actions actions;
    if (in_ == In::kDraining) {
      in_ = In::kClosed;
      actions.deliver_eof = true;
    }
    return both_ended(actions);
  }
  Actions owner_shutdown(bool out_empty) {
    if (out_ == Out::kOpen) out_ = Out::kDraining;
    return out_empty ? out_drained() : Actions{};
  }
  // The owner wants nothing more from the peer, and its own bytes delivered.
  Actions owner_close(bool out_empty) {
    ended_by_ = EndedBy::kBothEofs;
    in_ = In::kClosed;
    if (out_ == Out::kOpen) out_ = Out::kDraining;
    return out_empty ? out_drained() : both_ended({});
  }
  Actions out_drained() {
    Actions actions;
    if (out_ == Out::kDraining) {
      out_ = Out::kClosed;
      actions.send_eof = !close_sent_;
    }
    return both_ended(actions);
  }
  Actions owner_abort() {
    ended_by_ = EndedBy::kBothEofs;
    in_ = In::kClosed;
    out_ = Out::kClosed;
    return both_ended({});
  }

  In in() const { return in_; }
  Out out() const { return out_; }
  bool close_sent() const { return close_sent_; }
  bool peer_closed() const { return peer_closed_; }
  // Both sides have said CLOSE: the channel number may be used again.
  bool done() const { return close_sent_ && peer_closed_; }

 private:
  Actions both_ended(Actions actions) {
    if (in_ != In::kClosed || out_ != Out::kClosed) return actions;
    if (ended_by_ == EndedBy::kPeer && !peer_closed_) return actions;
    actions.send_close = actions.send_close || !close_sent_;
    close_sent_ = true;
    actions.finish = !finished_;
    finished_ = true;
    return actions;
  }

  EndedBy ended_by_ = EndedBy::kBothEofs;
  In in_ = In::kOpen;
  Out out_ = Out::kOpen;
  bool close_sent_ = false;  // facts of the wire, orthogonal to the directions' states
  bool peer_closed_ = false;
  bool finished_ = false;
};

}  // namespace jump
