// ProxyUpstream: what a ProxyTranslator asks of the connection(s) to the server. Nothing answers from inside
// a call: answers come later, through the translator's on_…() methods.
//
// Over agent/channel each method is a line or two: open() is Mux::open_raw(), send() and release() are a
// RawChannel's, accept() and refuse() an IncomingChannel's, listen() is RemoteListeners::listen(), ping() is
// Mux::global_request("keepalive@openssh.com"). As channels are named by the translator's own ids, those of
// one client may lie on several connections to the same host.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace jump {

// Where a client wants the server to listen: an address and port, or the path of a Unix socket.
struct ProxyListen {
  std::string address;     // as it came; "" is every address
  std::uint16_t port = 0;  // 0: the server chooses
  std::string path;        // not empty: a Unix socket, and the others mean nothing
  bool operator==(const ProxyListen&) const = default;
};

// What one side of a channel allows the other.
struct ProxyGrant {
  std::uint32_t window = 0;
  std::uint32_t max_packet = 0;  // the upstream lowers it to what its transport carries
};

class ProxyUpstream {
 public:
  using Channel = std::uint32_t;  // the translator's id of a channel; used again after release()
  using Ticket = std::uint64_t;   // of a question; never used again

  // Asks the server for a channel. Then on_packet() with its answer, or on_refused() if it cannot even be
  // asked.
  virtual void open(Channel channel, std::string_view type, ProxyGrant grant, ByteView specific) = 0;
  // The client's answer to what ProxyTranslator::offer() brought. After refuse() the id is released.
  virtual void accept(Channel channel, ProxyGrant grant, ByteView specific) = 0;
  virtual void refuse(Channel channel, std::uint32_t reason, std::string_view text) = 0;
  // A packet for the server, checked: its type, one of ssh::kChannelWindowAdjust … kChannelFailure, and what
  // follows the recipient's number.
  virtual void send(Channel channel, std::uint8_t type, ByteView rest) = 0;
  // Both sides have said CLOSE, or the server has refused: the id is free. Also from
  // ProxyTranslator::on_packet().
  virtual void release(Channel channel) = 0;

  // Questions; each is answered by on_answer(), in whatever order. The answer of a listen() with port 0 has
  // data: uint32 port.
  virtual void listen(Ticket ticket, const ProxyListen& at) = 0;
  virtual void cancel(Ticket ticket,
                      const ProxyListen& at) = 0;  // what this client has listened on; else: failure
  virtual void ping(Ticket ticket) = 0;  // a round trip to the server; its refusal is an answer as well

  // False: enough waits for the server. The translator looks at no more packets until resume().
  virtual bool has_room() const = 0;

 protected:
  ~ProxyUpstream() = default;
};

}  // namespace jump
