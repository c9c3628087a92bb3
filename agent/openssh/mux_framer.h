// MuxFramer: cuts what a client of OpenSSH's control socket sends into packets (uint32 length, then as many
// bytes), and hands out single bytes between them, as descriptors travel on such. Used for the multiplexing
// protocol and, with another bound, for the SSH packets of its proxy mode. Sans-IO.
//
// Invariant: it holds at most one packet more than what one feed() brings, if next() is called until it gives
// nothing. After an error it stays in it.
#pragma once

#include <cstddef>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"

namespace jump {

class MuxFramer {
 public:
  // OpenSSH's CHANNEL_MUX_MAX_PACKET. Environments of 4,096 variables have to fit.
  static constexpr std::size_t kMaxPacket = 256 * 1024;

  explicit MuxFramer(std::size_t max_packet = kMaxPacket) : max_packet_(max_packet) {}

  void feed(ByteView data);
  // A packet without its length, good until the next feed(); null: it is not complete yet. Error: kProtocol,
  // it is longer than the bound or empty.
  Result<std::optional<ByteView>> next();
  // Drops one byte that is no packet's; false: there is none.
  bool take_byte();
  // All that was fed and not handed out.
  Bytes take_rest();

  std::size_t buffered() const { return buffer_.size() - head_; }

 private:
  const std::size_t max_packet_;
  Bytes buffer_;
  std::size_t head_ = 0;  // handed out already
};

}  // namespace jump
