#include "forward/dynamic_forward.h"

#include <utility>

namespace jump {

// One client. Ladder: it says where to → waiting for the host → the channel is opened → it is told → carried.
// A refusal ends the ladder anywhere, and the client is told that, too.
class DynamicForward::Proxied final : public Connection, private ChannelEvents, private StreamHandler {
 public:
  Proxied(DynamicForward& forward, std::unique_ptr<ByteStream> stream)
      : forward_(forward),
        client_(
            forward.io_, std::move(stream),
            [this](Result<Endpoint> target) { on_requested(std::move(target)); },
            [this] { forward_.remove(*this); }) {}

  void start() { client_.start(); }

 private:
  void on_requested(Result<Endpoint> target) {
    if (!target) {
      if (!target.error().message.empty()) forward_.note_refused(*this, target.error());
      return;
    }
    target_ = *std::move(target);
    arrived_ = forward_.io_.now();
    waiting_ = forward_.host_.acquire(Host::Asker::kConnection, forward_.limits_.host_wait,
                                      [this](Result<Mux*> mux) { on_host(std::move(mux)); });
  }

  void on_host(Result<Mux*> mux) {
    waiting_.reset();
    if (!mux) return refuse(mux.error());
    auto request = ChannelOpen::direct_tcpip(target_.host, target_.port, "127.0.0.1", 0);
    auto channel = (*mux)->open(request, forward_.io_.now() + forward_.limits_.open_timeout, this);
    if (!channel) return refuse(channel.error());
    channel_ = *std::move(channel);
    channel_->set_handler(this);
  }

  void on_opened() override {
    forward_.failures_.reached(target_);
    channel_->forget_owner();
    carry(forward_.io_, client_.grant(), std::move(channel_), [this](const Error* error) {
      forward_.note_broken(*this, error);
      forward_.remove(*this);
    });
  }

  bool on_move(Mux& to) override {
    if (forward_.host_.is_served_by(to)) return true;
    return forward_.host_.may_carry(to) && forward_.io_.now() < waits_until();
  }
  TimePoint waits_until() const override { return arrived_ + forward_.limits_.host_wait; }

  // The channel's, before it is open: only its end is news.
  std::size_t on_data(ByteView) override { return 0; }
  void on_eof() override {}
  void on_writable() override {}
  void on_closed(const Error* error) override {
    const Error reason = error ? *error : Error{Errc::kClosed, "the channel was closed", {}};
    if (forward_.host_.mux()) forward_.failures_.failed(target_, reason, forward_.io_.now());
    refuse(reason);
  }

  void refuse(const Error& error) {
    forward_.note_refused(*this, error);
    client_.deny(error);
  }

  DynamicForward& forward_;
  ProxyClient client_;
  Endpoint target_;
  TimePoint arrived_;
  std::unique_ptr<Operation> waiting_;
  std::unique_ptr<Channel> channel_;  // until spliced
};

DynamicForward::DynamicForward(Io& io, Host& host, std::string id, ForwardRequest request,
                               const ForwardLimits& limits)
    : ListeningForward(io, host, std::move(id), std::move(request), limits) {}

DynamicForward::~DynamicForward() { end_connections(); }

void DynamicForward::establish(Established done) {
  if (done) done({});
}

void DynamicForward::on_accepted(std::unique_ptr<ByteStream> stream) {
  auto connection = std::make_shared<Proxied>(*this, std::move(stream));
  Proxied& added = *connection;
  add(std::move(connection));
  added.start();
}

}  // namespace jump
