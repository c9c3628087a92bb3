#include "route/carried_dial.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "hop/hop.h"

namespace jump {

// One channel that waits for its confirmation.
class CarriedDial::Attempt final : private StreamHandler, private ChannelEvents {
 public:
  explicit Attempt(CarriedDial& dial) : dial_(dial) {}

  Status open(Mux& mux, const ChannelOpen& request, TimePoint deadline) {
    auto channel = mux.open(request, deadline, this);
    if (!channel) return channel.error();
    channel_ = *std::move(channel);
    channel_->set_handler(this);
    return {};
  }
  bool confirmed() const { return confirmed_; }
  std::optional<Error> error() const {
    if (confirmed_ && channel_->ended()) return Error{Errc::kClosed, "the connection has ended", {}};
    return error_;
  }
  std::unique_ptr<ByteStream> take() {
    channel_->forget_owner();
    return std::move(channel_);
  }

 private:
  void on_opened() override {
    confirmed_ = true;
    channel_->set_handler(nullptr);  // its bytes, and its end, are the next owner's
    dial_.look_soon_->schedule();
  }
  std::size_t on_data(ByteView) override { return 0; }
  void on_eof() override {}
  void on_writable() override {}
  void on_closed(const Error* error) override {
    error_ = error ? *error : Error{Errc::kClosed, "the server closed the channel at once", {}};
    dial_.look_soon_->schedule();
  }

  CarriedDial& dial_;
  std::unique_ptr<Channel> channel_;
  bool confirmed_ = false;
  std::optional<Error> error_;
};

CarriedDial::CarriedDial(Io& io, Acquire acquire, std::string jump_host, Endpoint target, Duration limit,
                         Io::DialResult done)
    : io_(io),
      acquire_(std::move(acquire)),
      jump_host_(std::move(jump_host)),
      target_(std::move(target)),
      limit_(limit),
      done_(std::move(done)) {
  look_soon_ = io_.deferred([this] { look(); });
  again_ = io_.timer([this] { acquiring_ = acquire_([this](const Result<Mux*>& mux) { on_mux(mux); }); });
  acquiring_ = acquire_([this](const Result<Mux*>& mux) { on_mux(mux); });
}

CarriedDial::~CarriedDial() = default;

void CarriedDial::on_mux(const Result<Mux*>& mux) {
  if (mux) return ask(**mux);
  if (!attempts_.empty()) return;  // they hear of the end themselves
  Error error = mux.error();
  error.message = "jump host " + error.message;
  finish(std::move(error));
}

void CarriedDial::ask(Mux& mux) {
  if (deadline_ == TimePoint::max()) deadline_ = io_.now() + limit_;
  if (attempts_.size() >= kRounds) attempts_.pop_front();
  const auto request = ChannelOpen::direct_tcpip(target_.host, target_.port, "127.0.0.1", 0);
  if (Status opened = attempts_.emplace_back(*this).open(mux, request, deadline_); !opened) {
    attempts_.pop_back();
    if (attempts_.empty()) return finish(Hop::through(jump_host_, opened.error()));
  }
  again_->start(kAnew);
}

void CarriedDial::look() {
  for (Attempt& each : attempts_) {
    if (each.confirmed() && !each.error()) return finish(each.take());
  }
  // The jump host has an answer; what waits on would get the same one.
  for (Attempt& each : attempts_) {
    if (!each.error()) continue;
    if (io_.now() < deadline_) return finish(Hop::through(jump_host_, *each.error()));
    return finish(
        Error{Errc::kTimeout,
              fmt::format("no SSH connection within {:.0f} s through {}", to_seconds(limit_), jump_host_),
              {}});
  }
}

void CarriedDial::finish(Result<std::unique_ptr<ByteStream>> result) {
  again_->stop();
  attempts_.clear();
  Io::DialResult done = std::exchange(done_, nullptr);
  if (done) done(std::move(result));  // may destroy this object
}

}  // namespace jump
