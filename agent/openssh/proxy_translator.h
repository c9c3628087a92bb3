// ProxyTranslator: one client of the proxy mode (`ssh -O proxy`), sans-IO. The client speaks the SSH
// connection protocol (RFC 4254) without encryption, as if it were alone; its packets (uint32 length, byte 0,
// payload) are checked, and its channel numbers and global requests become those of a connection that others
// share.
//
//   feed() ─► packet ─► checked ─► ProxyUpstream::open/send/listen …
//   on_packet(), offer(), on_answer() ─► packet with the client's channel number ─► output()
//
// Channels: the client's number is the client's own; the number that it gets to address a channel by is our
// id. So a client reaches no channel but its own, whatever it writes. Windows, EOF, requests and their
// answers go through as they are: they are the two ends' own business. What would make the server end the
// connection for all (data beyond its window or largest packet, windows beyond 2^32-1, malformed packets, a
// zero byte in a request's text: channel/server_limits.h) ends this client only, or is refused to it.
//
// Global requests: listening and its cancellation are asked for upstream; keepalives are a real round trip;
// no-more-sessions is acknowledged and goes no further, as it would bind the others; the rest is refused.
// Replies come in the order of the requests. (OpenSSH's master passes tcpip-forward on, never replies, and
// ends the client for any other request.)
//
// Who owns it destroys all channels upstream when it goes. Invariants: ids of channels are free only after
// both CLOSEs; what is held is bounded; upstream is called from feed() and resume() only, but for release().
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_queue.h"
#include "base/result.h"
#include "openssh/mux_framer.h"
#include "openssh/proxy_upstream.h"

namespace jump {

class ProxyTranslator {
 public:
  using Channel = ProxyUpstream::Channel;
  using Ticket = ProxyUpstream::Ticket;

  // Of a client's packet, with its padding byte. SSH transports have to take 35,000 bytes, with padding and
  // MAC; and data packets are 32 KiB.
  static constexpr std::size_t kMaxPacket = 34 * 1000;
  // Largest data packet that goes to the client; OpenSSH's own limit.
  static constexpr std::size_t kMaxData = 32 * 1024;
  // Channels of one client: as many as a process has descriptors in most places.
  static constexpr std::size_t kMaxChannels = 1024;
  // Global requests that wait for their answer; the client's packets wait beyond that.
  static constexpr std::size_t kMaxQuestions = 16;
  // What the client was sent and has not read: bounded by the windows that it grants, and by this. It is room
  // for 32 stalled channels of OpenSSH's 2 MiB; a client that stalls with more is ended.
  static constexpr std::size_t kMaxUnread = 64 * 1024 * 1024;
  // Of an address or path: PATH_MAX of most systems.
  static constexpr std::size_t kMaxName = 4096;

  // `upstream` outlives it.
  explicit ProxyTranslator(ProxyUpstream* upstream) : upstream_(upstream) {}

  // --- from the client ---
  void feed(ByteView data);
  // Upstream has room again, or on_answer() was called.
  void resume() { process(); }

  // --- from upstream ---
  // The server's packet for a channel: its type, one of ssh::kChannelOpenConfirmation … kChannelFailure, and
  // what follows the recipient's number (in a confirmation: the sender's too).
  void on_packet(Channel channel, std::uint8_t type, ByteView rest);
  // open() could not be carried out.
  void on_refused(Channel channel, std::uint32_t reason, std::string_view text);
  // The server opens a channel that is this client's. Null: it cannot have it (too many).
  std::optional<Channel> offer(std::string_view type, ProxyGrant grant, ByteView specific);
  void on_answer(Ticket ticket, bool success, ByteView data);

  // --- output, getters ---
  ByteView output() const { return output_.front(); }
  void consume_output(std::size_t count) { output_.consume(count); }
  // False: stop reading the socket until it is true again.
  bool wants_input() const { return may_go_on(); }
  // The client has said that it goes (DISCONNECT), or it broke the protocol: error().
  bool finished() const { return finished_; }
  const Error* error() const { return error_ ? &*error_ : nullptr; }
  std::size_t channels() const { return entries_.size() - free_.size(); }
  std::size_t unread() const { return output_.size(); }

 private:
  enum class Phase : std::uint8_t { kFree, kAsked, kOffered, kOpen };
  struct Side {
    std::uint32_t window = 0;      // bytes that it may still send
    std::uint32_t max_packet = 0;  // of one data packet
    bool eof = false;
    bool closed = false;
    std::uint32_t questions = 0;  // channel requests that wait for its answer
  };
  struct Entry {
    Phase phase = Phase::kFree;
    std::uint32_t client_number = 0;
    Side client, server;
  };
  struct Question {
    Ticket ticket = 0;
    bool want_reply = false;
    std::optional<bool> success;
    Bytes data;  // of the reply
  };

  bool may_go_on() const;
  void process();
  void on_client_packet(ByteView packet);
  void on_client_open(class WireReader& in);
  void on_client_confirmation(class WireReader& in);
  void on_client_refusal(class WireReader& in);
  void on_client_channel_packet(std::uint8_t type, class WireReader& in);
  const char* check(Entry& entry, std::uint8_t type, ByteView rest);
  void on_global_request(class WireReader& in);
  bool ask(std::string_view name, class WireReader& in, Ticket ticket);
  void answer_questions();
  Entry* find(Channel channel);
  std::optional<Channel> take_id(Phase phase, std::uint32_t client_number);
  void free_id(Channel channel);
  void release_if_closed(Channel channel);
  void send(ByteView head, ByteView rest);
  void end(Error error);
  void broken(std::string what);

  ProxyUpstream* upstream_;
  MuxFramer framer_{kMaxPacket};
  std::vector<Entry> entries_;  // by id
  std::vector<Channel> free_;
  std::deque<Question> questions_;
  Ticket last_ticket_ = 0;
  ByteQueue output_{4};
  bool finished_ = false;
  std::optional<Error> error_;
};

}  // namespace jump
