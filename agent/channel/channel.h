// Channel: the owner's end of one SSH channel, as a ByteStream. It may be written to before the peer has
// confirmed it: bytes wait, within the bound, for the confirmation. A refused or timed-out open is an
// on_closed() with the reason.
//
// The protocol's side of the channel lives in the Mux and may outlive this object (CLOSE has to be answered),
// or end before it (the connection died); either way this object stays valid and inert until its owner lets
// go of it. Destroying it aborts the channel.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "stream/byte_stream.h"

namespace jump {

class Mux;

// What a ByteStream cannot say. Optional.
class ChannelEvents {
 public:
  // The peer has confirmed the channel. Failure is told by StreamHandler::on_closed().
  virtual void on_opened() = 0;
  // The peer has sent EOF or CLOSE; said at once, while bytes that came before may still wait for the owner.
  virtual void on_peer_ended() {}
  // The peer owes the confirmation, and may be gone: the channel is to be asked for on another connection,
  // `to`, with what was written meanwhile. False: it stays.
  virtual bool on_move(Mux& to) {
    (void)to;
    return false;
  }
  // Where on_move() has agreed to wait for a connection: until when, at most.
  virtual TimePoint waits_until() const { return TimePoint::max(); }
  // The peer's request on this channel (RFC 4254 section 5.4: "exit-status", …); true: done, which is the
  // answer where one is wanted. `data` is good for the call.
  virtual bool on_request(std::string_view name, ByteView data) {
    (void)name, (void)data;
    return false;
  }
  // Data beside the stream (section 5.2; 1 is stderr), under the stream's window. As
  // StreamHandler::on_data(): what is not taken is kept until Channel::resume_extended(), and the channel
  // does not end before.
  virtual std::size_t on_extended_data(std::uint32_t type, ByteView data) {
    (void)type;
    return data.size();
  }

 protected:
  ~ChannelEvents() = default;
};

class Channel final : public ByteStream {
 public:
  ~Channel() override;

  void set_handler(StreamHandler* handler) override;
  std::size_t write(ByteView data) override;
  void resume_reading() override;
  void shutdown_write() override;
  void close() override;
  void abort() override;
  void resume_extended();
  // Asks the peer for something on this channel, once it is open. `reply` hears whether it agreed; null: no
  // answer is wanted. Replies come in order, and none after the channel's end. Errors: kClosed (not open),
  // kLimit.
  using RequestReply = std::function<void(bool success)>;
  Status request(std::string_view name, ByteView data, RequestReply reply = nullptr);
  // No handler and no events any more: the channel is about to have another owner, who calls set_handler().
  void forget_owner();
  std::string describe() const override { return describe_; }
  // Nothing comes of it any more, as who has set no handler is not told.
  bool ended() const { return mux_ == nullptr; }

 private:
  friend class Mux;
  Channel(Mux* mux, std::uint32_t number, std::string describe)
      : mux_(mux), number_(number), describe_(std::move(describe)) {}

  Mux* mux_;              // null once the protocol's side has ended
  std::uint32_t number_;  // our channel number
  std::string describe_;
};

}  // namespace jump
