// Mux: the SSH connection protocol (RFC 4254) over one authenticated transport, sans-IO.
//
//   handle_packet() ─► dispatch by channel number ─► StreamHandler::on_data() of the channel's owner
//   Channel::write() ─► the channel's send queue ─► pump(): control packets, then channels in turn ─► PacketSink
//
// Opens are pipelined: any number in flight, each with its own deadline, none waits for another. Flow control is end
// to end: bytes the owner has not taken are not credited to the peer; bytes the peer's window has no room for stay in
// a bounded send queue. Nothing here blocks, allocates by scanning, or asks for the time.
//
// Owners' handlers run only from handle_packet(), pump(), tick() and fail(): never from inside a Channel method.
// The sink is used only from pump(). Invariants: a channel number is free again only after both CLOSEs; a channel is
// in the send ring at most once; the bytes held for an owner never exceed the window that was granted.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/byte_queue.h"
#include "base/clock.h"
#include "base/result.h"
#include "channel/channel.h"
#include "channel/channel_open.h"
#include "channel/half_close.h"

namespace jump {

// Where packets go.
class PacketSink {
 public:
  // Sends one packet: head then body, one payload. False: not now (a key exchange is on); it will be offered again.
  virtual bool send_packet(ByteView head, ByteView body) = 0;
  // False once enough is queued towards the network: stop until the next pump().
  virtual bool has_room() const = 0;
  // There is something to do: call pump() soon.
  virtual void wake() = 0;

 protected:
  ~PacketSink() = default;
};

struct MuxCounters {
  std::uint64_t opened = 0;            // confirmed by the peer, ever
  std::uint64_t open_failed = 0;       // refused by the peer, ever
  std::uint64_t open_timeouts = 0;     // given up at their deadline, ever
  std::uint64_t bytes_in = 0;          // payload
  std::uint64_t bytes_out = 0;
  std::uint64_t held_in = 0;           // bytes waiting for owners, now
  std::uint64_t queued_out = 0;        // bytes waiting for windows or the network, now
  std::uint64_t window_stalls = 0;     // times that a channel with data found the peer's window empty
};

class Mux {
 public:
  // Receive window per channel. 2 MiB, as ssh has; a peer may send this much ahead of its owner.
  static constexpr std::uint32_t kWindow = 2 * 1024 * 1024;
  // Credit is granted when this much was taken: rarer than each packet, far earlier than half a window.
  static constexpr std::uint32_t kCreditStep = kWindow / 8;
  // Largest data packet we accept; OpenSSH's own limit.
  static constexpr std::uint32_t kMaxPacket = 32 * 1024;
  // Bytes a channel's owner may queue ahead of the network: keeps the pipe busy between two pumps.
  static constexpr std::size_t kSendQueueMax = 256 * 1024;
  // Each channel in the ring sends this much per round.
  static constexpr std::size_t kQuantum = 32 * 1024;
  // Channels, open and opening, of one connection; beyond it open() refuses.
  static constexpr std::size_t kMaxChannels = 20000;
  // Replies owed to the peer (refusals of its requests). A peer that asks without reading answers is cut off here.
  // 4 MiB has room for the opens of kMaxChannels.
  static constexpr std::size_t kMaxControlBytes = 4 * 1024 * 1024;
  static constexpr std::size_t kControlOverhead = 64;  // what keeping one packet costs beside its bytes
  // Global requests of ours that wait for their reply.
  static constexpr std::size_t kMaxGlobalRequests = 64;

  explicit Mux(PacketSink* sink);
  ~Mux();
  Mux(const Mux&) = delete;
  Mux& operator=(const Mux&) = delete;

  // --- commands ---
  // Asks the peer for a channel. `events` may be null; both it and the later handler outlive the channel.
  // Errors: kClosed after fail(), kLimit.
  Result<std::unique_ptr<Channel>> open(const ChannelOpen& request, TimePoint deadline, ChannelEvents* events);
  // Sends a global request that wants a reply (RFC 4254 section 4); `reply` gets whether it succeeded and the data of
  // the answer. Replies come in order. Errors: kClosed, kLimit.
  using GlobalReply = std::function<void(bool success, ByteView data)>;
  Status global_request(std::string_view name, ByteView data, GlobalReply reply);

  // --- input ---
  void handle_packet(ByteView payload);
  // Opens whose deadline has passed fail.
  void tick(TimePoint now);
  // Sends what can be sent and delivers what owners asked for again. Call after wake(), and when the sink has room.
  void pump();
  // The connection has ended: every channel hears of it. Nothing works afterwards.
  void fail(const Error& error);

  // --- output, getters ---
  // When tick() has something to do; TimePoint::max() when never.
  TimePoint next_deadline() const;
  // Set when the peer broke the protocol: the owner ends the connection.
  const Error* error() const { return protocol_error_ ? &*protocol_error_ : nullptr; }
  std::size_t open_channels() const { return open_; }
  std::size_t opening_channels() const { return deadlines_.size(); }
  std::size_t used_numbers() const { return used_; }  // including those that wait for the peer's CLOSE
  const MuxCounters& counters() const { return counters_; }

 private:
  friend class Channel;

  enum class Phase : std::uint8_t { kOpening, kOpen, kEnded };
  struct Slot;

  // Channel's methods.
  void set_handler(std::uint32_t number, StreamHandler* handler);
  std::size_t write(std::uint32_t number, ByteView data);
  void resume_reading(std::uint32_t number);
  void shutdown_write(std::uint32_t number);
  void close(std::uint32_t number);
  void abort(std::uint32_t number);
  void abandon(std::uint32_t number);

  // Packets.
  void on_open_confirmation(class WireReader& in);
  void on_open_failure(class WireReader& in);
  void on_window_adjust(class WireReader& in);
  void on_data(class WireReader& in);
  void on_extended_data(class WireReader& in);
  void on_eof(class WireReader& in);
  void on_close(class WireReader& in);
  void on_channel_request(class WireReader& in);
  void on_global_request(class WireReader& in);
  void on_global_reply(bool success, class WireReader& in);
  void on_peer_open(class WireReader& in);

  // Steps.
  void deliver(std::uint32_t number, ByteView data);
  void deliver_held(std::uint32_t number);
  void credit(Slot& slot, std::size_t taken);
  void apply(std::uint32_t number, HalfClose::Actions actions);
  void end(std::uint32_t number, const Error* error);
  void discard_input(Slot& slot);
  void discard_output(Slot& slot);
  void release(std::uint32_t number);
  void join_ring(std::uint32_t number);
  void visit_later(std::uint32_t number);
  void visit(std::uint32_t number);
  bool send_quantum(std::uint32_t number);
  bool flush_control();
  void queue_control(Bytes packet);
  Slot* find(std::uint32_t number);
  Slot* find_for_packet(class WireReader& in, const char* what);
  void protocol_error(std::string message);

  PacketSink* sink_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t used_ = 0;
  std::size_t open_ = 0;
  std::set<std::pair<TimePoint, std::uint32_t>> deadlines_;
  std::deque<Bytes> control_;                // packets that go before any data
  std::size_t control_bytes_ = 0;
  std::deque<std::uint32_t> ring_;           // channels with data and window, in turn
  std::vector<std::uint32_t> visits_;        // channels whose owners wait for a delivery
  std::deque<GlobalReply> global_replies_;
  std::optional<Error> protocol_error_;
  bool failed_ = false;
  MuxCounters counters_;
};

}  // namespace jump
