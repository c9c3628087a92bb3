// StreamRelay: one byte stream of a client's to a target behind a host, through a channel of its own.
//
//   kWaiting (for the host) → kOpening (the channel) → kRunning → kEnded
//
// Invariants: `opened` is called once, from the loop: after the target has accepted, or with the reason why
// not; `ended` once after a good start. Nothing is read from the client before the target has accepted.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "channel/channel.h"
#include "route/host.h"
#include "stream/io.h"
#include "stream/splice.h"

namespace jump {

class StreamRelay final : private ChannelEvents, private StreamHandler {
 public:
  enum class State { kWaiting, kOpening, kRunning, kEnded };
  using Opened = std::function<void(const Status&)>;
  using Ended = std::function<void(const Error* error)>;

  // `host` outlives it.
  StreamRelay(Io& io, Host& host, std::string id, Endpoint target);
  ~StreamRelay();
  StreamRelay(const StreamRelay&) = delete;
  StreamRelay& operator=(const StreamRelay&) = delete;

  // Within `timeout` for both, of which the target has `open_timeout` at most.
  void start(Host::Asker asker, Duration timeout, Duration open_timeout, Opened opened);
  // To be called once, after a good `opened`: the client's side.
  void carry(std::unique_ptr<ByteStream> client, Ended ended);

  Host& host() const { return host_; }
  const Endpoint& target() const { return target_; }
  State state() const { return state_; }
  TimePoint since() const { return since_; }
  std::uint64_t bytes_in() const { return splice_ ? splice_->bytes_right_to_left() : 0; }
  std::uint64_t bytes_out() const { return splice_ ? splice_->bytes_left_to_right() : 0; }

 private:
  // ChannelEvents
  void on_opened() override;
  bool on_move(Mux& to) override { return host_.is_served_by(to); }
  // StreamHandler: the channel, until it is carried
  std::size_t on_data(ByteView) override { return 0; }
  void on_eof() override {}
  void on_writable() override {}
  void on_closed(const Error* error) override;

  void on_host(const Result<Mux*>& mux);
  void tell(Status outcome);

  Io& io_;
  Host& host_;
  const std::string id_;
  const Endpoint target_;
  const TimePoint since_;
  State state_ = State::kWaiting;
  Duration open_timeout_{};
  TimePoint deadline_;
  Opened opened_;
  Ended ended_;
  std::unique_ptr<Operation> waiting_;
  std::unique_ptr<Deferred> tell_soon_;
  std::function<void()> call_;   // what tell_soon_ is to call
  std::optional<Error> broken_;  // the channel, between `opened` and carry()
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<Splice> splice_;
};

}  // namespace jump
