// RawChannel: one channel whose packets go through as they are, for a client that speaks RFC 4254 itself
// (OpenSSH's proxy mode). The Mux does what several such clients on one connection need: it allots the
// channel number, puts the recipient's number into each packet, takes turns, and sees to it that a number is
// free again only after both CLOSEs. Windows, EOF, requests and their answers are the two ends' own business.
//
//   send(type, rest) ─► type, the peer's number, rest ─► the channel's queue ─► Mux::pump() in turn
//   the peer's packet ─► RawChannelHandler::on_raw_packet(type, rest)
//
// Destroying it closes the channel at the peer, now or once the peer has answered the open; what still comes
// for it is dropped. After the end (both CLOSEs, a refused open, a lost connection) it is inert.
// Invariant: packets of one channel leave in the order in which they were given, and none after CLOSE.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace jump {

class Mux;

// What a side that opens or confirms a channel allows its peer.
struct RawGrant {
  std::uint32_t window = 0;
  // Of one data packet. Offered to the peer as Mux::kMaxPacket at most: larger ones would not fit the
  // transport.
  std::uint32_t max_packet = 0;
};

class RawChannelHandler {
 public:
  // A packet of the peer's for this channel, well-formed: one of ssh::kChannelOpenConfirmation …
  // kChannelFailure. `rest`, good for the call, is what follows the recipient's number; in an
  // OPEN_CONFIRMATION, what follows the sender's too. After OPEN_FAILURE, and after the second CLOSE, nothing
  // more comes. May destroy the RawChannel.
  virtual void on_raw_packet(std::uint8_t type, ByteView rest) = 0;
  // queued() has fallen to half of Mux::kSendQueueMax, after it was beyond that. May destroy the RawChannel.
  virtual void on_raw_room() = 0;
  // The connection has ended. Last call.
  virtual void on_raw_lost(const Error& error) = 0;

 protected:
  ~RawChannelHandler() = default;
};

class RawChannel {
 public:
  ~RawChannel();
  RawChannel(const RawChannel&) = delete;
  RawChannel& operator=(const RawChannel&) = delete;

  // One of ssh::kChannelWindowAdjust … kChannelFailure; `rest` is what follows the recipient's number, and is
  // sent as it is: whoever calls answers for its form and for the peer's window. Does nothing before the
  // peer's confirmation, after CLOSE, or when inert.
  void send(std::uint8_t type, ByteView rest);
  // Bytes that wait for the network. Who sees more than Mux::kSendQueueMax stops until on_raw_room().
  std::size_t queued() const;
  bool is_open() const { return mux_ != nullptr; }
  std::uint32_t number() const { return number_; }  // ours, on this connection

 private:
  friend class Mux;
  RawChannel(Mux* mux, std::uint32_t number) : mux_(mux), number_(number) {}

  Mux* mux_;  // null once the protocol's side has ended
  const std::uint32_t number_;
};

}  // namespace jump
