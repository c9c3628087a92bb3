// Mux: the SSH connection protocol (RFC 4254) over one authenticated transport, sans-IO.
//
//   handle_packet() ─► dispatch by channel number ─► StreamHandler::on_data() of the channel's owner
//   Channel::write() ─► the channel's send queue ─► pump(): control packets, then channels in turn ─►
//   PacketSink
//   the peer's CHANNEL_OPEN ─► the handler of its type ─► IncomingChannel::accept() ─► a channel like ours
//
// Opens are pipelined: any number in flight, each with its own deadline, none waits for another. Flow control
// is end to end: bytes the owner has not taken are not credited to the peer; bytes the peer's window has no
// room for stay in a bounded send queue. Nothing here blocks or asks for the time, and nothing scans all
// channels.
//
// Receive windows grow while the owner keeps up and the window is what limits (a whole window came within two
// round trips), as far as the agent-wide WindowBudget allows. While an interactive channel is active, here or
// on another connection to the same host (Contention), bulk channels are held near the path's bandwidth-delay
// product instead (BulkGovernor), so that a keystroke does not wait behind them.
//
// Owners' handlers run only from handle_packet(), pump(), tick() and fail(): never from inside a Channel
// method. The sink is used from pump(), and from write() when nothing else waits. Invariants: a channel
// number is free again only after both CLOSEs; a channel is in the send ring at most once; the bytes held for
// an owner never exceed the window that was granted.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/byte_queue.h"
#include "base/clock.h"
#include "base/result.h"
#include "channel/bulk_governor.h"
#include "channel/channel.h"
#include "channel/channel_open.h"
#include "channel/contention.h"
#include "channel/half_close.h"
#include "channel/incoming_channel.h"
#include "channel/raw_channel.h"
#include "channel/round_trip.h"
#include "channel/window_budget.h"

namespace jump {

class RemoteListeners;

// Where packets go.
class PacketSink {
 public:
  // Sends one packet: head then body, one payload. False: not now (a key exchange is on); it will be offered
  // again.
  virtual bool send_packet(ByteView head, ByteView body) = 0;
  // False once enough is queued towards the network: stop until the next pump().
  virtual bool has_room() const = 0;
  // There is something to do: call pump() soon.
  virtual void wake() = 0;
  // Of head and body together; more would end the connection.
  virtual std::size_t max_payload() const { return SIZE_MAX; }

 protected:
  ~PacketSink() = default;
};

struct MuxCounters {
  std::uint64_t opened = 0;         // confirmed by the peer, ever
  std::uint64_t open_failed = 0;    // refused by the peer, ever
  std::uint64_t open_timeouts = 0;  // given up at their deadline, ever
  std::uint64_t bytes_in = 0;       // payload
  std::uint64_t bytes_out = 0;
  std::uint64_t held_in = 0;         // bytes waiting for owners, now
  std::uint64_t queued_out = 0;      // bytes waiting for windows or the network, now
  std::uint64_t window_stalls = 0;   // times that a channel with data found the peer's window empty
  std::uint64_t window_growths = 0;  // times that a receive window was doubled
  std::uint64_t largest_window = 0;  // bytes, ever
  std::uint64_t peer_opens = 0;      // channels that the peer asked for, ever
  std::uint64_t peer_opens_accepted = 0;
  std::uint64_t peer_opens_refused = 0;  // by us, for whatever reason
  std::uint64_t signals_refused = 0;     // by us, as too many waited for the network, ever
};

class Mux {
 public:
  // Credit is granted when this part of a window was taken: rarer than each packet, far earlier than half a
  // window.
  static constexpr std::uint32_t kCreditParts = 8;
  // A channel that moved more than this within a second is bulk; one that moves no more at a time is
  // interactive.
  static constexpr std::uint64_t kBulkBytes = 256 * 1024;
  static constexpr std::size_t kTinyBytes = 2048;
  // While bulk is governed, round trips are measured one after the other, but not more often than this.
  static constexpr Duration kProbeGap = milliseconds(10);
  // Round trips measured in a row at the beginning.
  static constexpr unsigned kFirstProbes = 4;
  // Largest data packet we accept; OpenSSH's own limit.
  static constexpr std::uint32_t kMaxPacket = 32 * 1024;
  // Bytes a channel's owner may queue ahead of the network: keeps the pipe busy between two pumps.
  static constexpr std::size_t kSendQueueMax = 256 * 1024;
  // Each channel in the ring sends this much per round.
  static constexpr std::size_t kQuantum = 32 * 1024;
  // Channels, open and opening, of one connection, the peer's included; beyond it open() refuses, and the
  // peer is refused.
  static constexpr std::size_t kMaxChannels = 20000;
  // Answers owed to the peer (refusals of its requests). A peer that asks without reading answers is cut off
  // here.
  static constexpr std::size_t kMaxOwed = 10000;
  // The peer's opens that wait for our answer; further ones are refused. Each mostly is a descriptor that its
  // owner dials with, of the 1,024 that a process has in most places.
  static constexpr std::size_t kMaxPeerOpens = 512;
  // Global requests of ours that wait for their reply.
  static constexpr std::size_t kMaxGlobalRequests = 64;
  // Requests on one channel that wait for their reply: a session's beginning takes a handful and one for each
  // variable of its environment.
  static constexpr std::size_t kMaxChannelRequests = 8192;
  // Signals of one channel that wait for the network, which may be stuck for minutes. Whoever repeats a
  // signal that seems to do nothing gets here; all of them would arrive at once.
  static constexpr std::size_t kMaxUnsentSignals = 64;

  // So many connections may end while a channel waits for its answer: it may be what they break of.
  static constexpr std::uint8_t kMaxEnds = 4;

  // `budget` and `contention` outlive the Mux. Null contention: there is no other connection to that host.
  // `id`: the connection's in the log.
  Mux(PacketSink* sink, WindowBudget* budget, TimePoint now, Contention* contention = nullptr,
      std::string id = "mux");
  ~Mux();
  Mux(const Mux&) = delete;
  Mux& operator=(const Mux&) = delete;

  const std::string& id() const { return id_; }

  // --- commands ---
  // Asks the peer for a channel. `events` may be null; both it and the later handler outlive the channel.
  // Errors: kClosed after fail(), kLimit.
  Result<std::unique_ptr<Channel>> open(const ChannelOpen& request, TimePoint deadline,
                                        ChannelEvents* events);
  // Channels that the peer has not confirmed yet are asked of `to` instead, if their owners agree
  // (ChannelEvents::on_move): with what was written to them, and to be confirmed by the same time.
  // kFromAnEnd, kToWait: this connection ends, and those that have seen kMaxEnds stay. kToWait: `to` is none,
  // and they are there for as long as their owners want to wait. Returns how many.
  enum class Move : std::uint8_t { kOnwards, kFromAnEnd, kToWait };
  std::size_t move_openings(Mux& to, Move move);
  // The same for a channel whose packets go through as they are; its open has no deadline. `handler` outlives
  // the RawChannel.
  Result<std::unique_ptr<RawChannel>> open_raw(std::string_view type, RawGrant grant, ByteView specific,
                                               RawChannelHandler* handler);
  // Sends a global request that wants a reply (RFC 4254 section 4); `reply` gets whether it succeeded and the
  // data of the answer. Replies come in order. Errors: kClosed, kLimit.
  using GlobalReply = std::function<void(bool success, ByteView data)>;
  Status global_request(std::string_view name, ByteView data, GlobalReply reply);
  // Who is shown the peer's global requests; true: done, which is the answer where one is wanted. Called from
  // handle_packet(), `data` is good for the call. Without one, or for false, they are refused.
  using GlobalRequestHandler = std::function<bool(std::string_view name, ByteView data)>;
  void set_global_request_handler(GlobalRequestHandler handler) {
    global_request_handler_ = std::move(handler);
  }
  // Who is asked when the peer opens a channel of that type; empty: nobody, and it is refused, as all types
  // are at first. Called from handle_packet(). The "forwarded-…" types belong to remote_listeners().
  using PeerOpenHandler = std::function<void(IncomingChannel incoming)>;
  void set_peer_open_handler(std::string_view type, PeerOpenHandler handler);
  // What the server listens on for us. It lives as long as the Mux.
  RemoteListeners& remote_listeners();

  // Measures the round trip: asks keepalive@openssh.com, which every server answers, if only with a refusal.
  // One such question at a time; asked again meanwhile, it does nothing.
  void probe(TimePoint now);
  // When the question was asked that has no answer yet; TimePoint::max(): there is none.
  TimePoint asked_since() const { return probing_ ? probe_sent_ : TimePoint::max(); }

  // --- input ---
  // More::kYes: the caller has further packets at once, and this one stays good until end_packets(). Data
  // that follow one another for the same channel then reach its owner in one go.
  enum class More : bool { kNo, kYes };
  void handle_packet(ByteView payload, TimePoint now, More more = More::kNo);
  void end_packets();
  // Opens whose deadline has passed fail; a probe that is due is sent.
  void tick(TimePoint now);
  // Sends what can be sent and delivers what owners asked for again. Call after wake(), and when the sink has
  // room.
  void pump(TimePoint now);
  // The connection has ended: every channel hears of it. Nothing works afterwards.
  void fail(const Error& error);

  // --- output, getters ---
  // When tick() has something to do; TimePoint::max() when never.
  TimePoint next_deadline() const;
  // Set when the peer broke the protocol: the owner ends the connection.
  const Error* error() const { return protocol_error_ ? &*protocol_error_ : nullptr; }
  bool ended() const { return failed_; }  // fail() was called
  // For whoever may outlive it: points to null once it has failed or gone.
  std::shared_ptr<Mux* const> life() const { return self_; }
  std::size_t open_channels() const { return open_; }
  std::size_t opening_channels() const { return deadlines_.size(); }
  std::size_t used_numbers() const { return used_; }  // including those that wait for the peer's CLOSE
  std::size_t pending_peer_opens() const { return pending_peer_opens_; }
  std::size_t owed_answers() const { return owed_; }
  // Channels of type "session": all that the server has not closed, and of these the ones that it has opened.
  // It counts them as well (sshd: MaxSessions).
  std::size_t sessions() const { return sessions_; }
  std::size_t confirmed_sessions() const { return confirmed_sessions_; }
  // The most that it had opened at the same time.
  std::size_t most_sessions() const { return most_sessions_; }
  // That have ended; the server may count the latest of them a moment longer.
  std::uint64_t past_sessions() const { return past_sessions_; }
  std::size_t awaited_replies() const { return global_replies_.size(); }
  const MuxCounters& counters() const { return counters_; }
  const RoundTrip& round_trip() const { return round_trip_; }
  bool probing() const { return probing_; }
  // Bulk is being held back for an interactive channel.
  bool governed() const { return governed_; }
  // Channels that move bulk at this time.
  std::size_t bulk_channels(TimePoint now) const;

 private:
  friend class Channel;
  friend class IncomingChannel;
  friend class RawChannel;

  enum class Phase : std::uint8_t { kOpening, kOpen, kEnded, kRaw };
  struct Slot;
  struct Unsent;
  struct RawSide;
  struct Unsent;

  // Channel's methods.
  void set_handler(std::uint32_t number, StreamHandler* handler);
  std::size_t write(std::uint32_t number, ByteView data);
  void resume_reading(std::uint32_t number);
  void resume_extended(std::uint32_t number);
  Status request(std::uint32_t number, std::string_view name, ByteView data, Channel::RequestReply reply);
  void shutdown_write(std::uint32_t number);
  void close(std::uint32_t number);
  void abort(std::uint32_t number);
  void abandon(std::uint32_t number);
  void forget_owner(std::uint32_t number);

  // IncomingChannel's.
  std::unique_ptr<Channel> confirm_peer(const IncomingChannel::Peer& peer, std::string describe,
                                        ChannelEvents* events);
  void refuse_peer(std::uint32_t remote, std::uint32_t reason, std::string_view text);

  // Raw channels.
  std::unique_ptr<RawChannel> add_raw(RawChannelHandler* handler);
  std::unique_ptr<RawChannel> confirm_peer_raw(std::uint32_t remote, RawGrant grant, ByteView specific,
                                               RawChannelHandler* handler);
  void send_raw(std::uint32_t number, std::uint8_t type, ByteView rest);
  void on_raw_packet(std::uint32_t number, std::uint8_t type, ByteView rest);
  bool send_raw_quantum(std::uint32_t number);
  void end_raw(std::uint32_t number);
  void forget_raw_owner(Slot& slot);
  void abandon_raw(std::uint32_t number);
  void close_raw(std::uint32_t number);
  void lose_raw(std::uint32_t number, const Error& error);

  // Packets.
  void dispatch(ByteView payload);
  void on_open_confirmation(class WireReader& in);
  void on_open_failure(class WireReader& in);
  void on_window_adjust(class WireReader& in);
  void on_data(class WireReader& in);
  void on_extended_data(class WireReader& in);
  void on_eof(class WireReader& in);
  void on_close(class WireReader& in);
  void on_channel_request(class WireReader& in);
  void on_channel_reply(bool success, class WireReader& in);
  void on_global_request(class WireReader& in);
  void on_global_reply(bool success, class WireReader& in);
  void on_peer_open(class WireReader& in);
  void tell_peer_ended(std::uint32_t number, Slot& slot);

  // Steps.
  Status check_room() const;
  std::uint32_t take_number();
  std::unique_ptr<Channel> add_channel(std::string describe, ChannelEvents* events);
  std::uint32_t add_slot(Channel& channel, ChannelEvents* events);
  void ask(std::uint32_t number, std::unique_ptr<ChannelOpen> request, TimePoint deadline);
  void take_over(Slot& from, Move move);
  void deliver(std::uint32_t number, ByteView data);
  void deliver_run();
  void hold(Slot& slot, ByteView data);
  void deliver_held(std::uint32_t number);
  void deliver_extended(std::uint32_t number);
  void credit(Slot& slot);
  void note_traffic(std::uint32_t number, Slot& slot, std::size_t bytes);
  void grow_window(Slot& slot, std::size_t arrived);
  void on_probe_answer();
  void govern();
  void end_governing();
  void set_governed(bool governed);
  void leave_bulk(Slot& slot);
  std::size_t send_now(Slot& slot, ByteView data);
  std::size_t send_data(Slot& slot, ByteView data);
  void apply(std::uint32_t number, HalfClose::Actions actions);
  void end(std::uint32_t number, const Error* error);
  void discard_input(Slot& slot);
  void discard_output(Slot& slot);
  void release(std::uint32_t number);
  void free_number(std::uint32_t number);
  void join_ring(std::uint32_t number);
  void visit_later(std::uint32_t number);
  void visit(std::uint32_t number);
  bool send_quantum(std::uint32_t number);
  bool flush_control();
  void queue_control(Bytes packet);
  struct Control;
  Status queue_repeatable(Slot& slot, bool signal, Bytes packet);
  void on_control_sent(const Control& sent);
  void owe(Bytes packet);
  Slot* find(std::uint32_t number);
  Slot* find_for_packet(class WireReader& in, const char* what);
  void protocol_error(std::string message);

  const std::string id_;
  PacketSink* sink_;
  WindowBudget* budget_;
  TimePoint now_;  // of the last input
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t used_ = 0;
  std::size_t open_ = 0;
  std::size_t sessions_ = 0, confirmed_sessions_ = 0, most_sessions_ = 0;
  std::uint64_t past_sessions_ = 0;
  std::set<std::pair<TimePoint, std::uint32_t>> deadlines_;
  struct Control {
    Bytes packet;
    bool owed = false;               // an answer that the peer made us give
    std::shared_ptr<Unsent> unsent;  // of the channel that counts this packet there; mostly null
  };
  std::deque<Control> control_;  // packets that go before any data
  std::size_t owed_ = 0;
  std::deque<std::uint32_t> ring_;     // channels with data and window, in turn
  std::vector<std::uint32_t> visits_;  // channels whose owners wait for a delivery
  std::deque<GlobalReply> global_replies_;
  GlobalRequestHandler global_request_handler_;
  const std::shared_ptr<Mux*> self_ = std::make_shared<Mux*>(this);  // for IncomingChannels; null at our end
  std::map<std::string, PeerOpenHandler, std::less<>> peer_open_handlers_;
  std::size_t pending_peer_opens_ = 0;
  std::unique_ptr<RemoteListeners> remote_listeners_;

  RoundTrip round_trip_;
  bool probing_ = false;
  TimePoint probe_sent_;
  TimePoint next_probe_ = TimePoint::max();
  Contention alone_;  // where nobody shares one
  Contention* contention_;
  std::vector<std::uint32_t> bulk_;  // channels that became bulk and were not seen idle since
  std::uint64_t bulk_bytes_ = 0;     // that came for them since the last measurement
  BulkGovernor governor_;
  bool governed_ = false;
  // Data packets of one channel, on their way to its owner. Only within handle_packet() … end_packets().
  static constexpr std::size_t kRunMax = 8;
  std::vector<ByteView> run_;
  std::uint32_t run_number_ = 0;
  bool dispatching_ = false;  // handle_packet() is on the stack: the sink takes nothing
  std::optional<Error> protocol_error_;
  bool failed_ = false;
  MuxCounters counters_;
};

}  // namespace jump
