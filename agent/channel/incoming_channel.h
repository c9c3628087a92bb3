// IncomingChannel: a channel that the peer has asked for and that is not answered yet. Whoever gets it
// answers once, now or later: accept() after the local target was reached, or refuse(). Let go of unanswered,
// it is refused. It may outlive the Mux, or the connection: then it is inert.
//
// Invariant: no handler of anybody runs from inside its methods.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "channel/channel.h"
#include "channel/peer_open.h"
#include "channel/raw_channel.h"

namespace jump {

class Mux;

class IncomingChannel {
 public:
  ~IncomingChannel();
  IncomingChannel(IncomingChannel&& other) noexcept = default;  // `other` is inert then
  IncomingChannel& operator=(IncomingChannel&& other) noexcept;

  const PeerOpen& request() const { return request_; }
  RawGrant grant() const { return {peer_.window, peer_.max_packet}; }  // what the peer allows
  // False once it was answered, or the connection has ended.
  bool is_open() const { return mux_ && *mux_; }

  // Confirms it: from now on a channel like those that we opened. `events` is as in Mux::open(); on_opened()
  // follows. Error: kClosed (see is_open()).
  Result<std::unique_ptr<Channel>> accept(ChannelEvents* events);
  // The same for a channel whose packets go through as they are: `grant` and `specific` are those of the
  // confirmation. `handler` outlives the RawChannel.
  Result<std::unique_ptr<RawChannel>> accept_raw(RawGrant grant, ByteView specific,
                                                 RawChannelHandler* handler);
  // One of ssh::kOpen… (RFC 4254 section 5.1) and a text for the log of the other side. Harmless when inert.
  void refuse(std::uint32_t reason, std::string_view text);

 private:
  friend class Mux;
  // The peer's side of it, from its CHANNEL_OPEN.
  struct Peer {
    std::uint32_t number = 0;
    std::uint32_t window = 0;
    std::uint32_t max_packet = 0;
  };
  IncomingChannel(std::shared_ptr<Mux*> mux, Peer peer, PeerOpen request)
      : mux_(std::move(mux)), peer_(peer), request_(std::move(request)) {}
  Mux* take_mux();

  std::shared_ptr<Mux*> mux_;  // null once answered; it points to null once the Mux has ended
  Peer peer_;
  PeerOpen request_;
};

}  // namespace jump
