#include "forward/local_forward.h"

#include <utility>

namespace jump {

// One accepted connection. Ladder: waiting for the host → opening the channel (its first bytes flow already)
// → carried.
class LocalForward::Carried final : public Connection, private ChannelEvents {
 public:
  Carried(LocalForward& forward, std::unique_ptr<ByteStream> stream)
      : forward_(forward), stream_(std::move(stream)), arrived_(forward.io_.now()) {}

  void start() {
    waiting_ = forward_.host_.acquire(Host::Asker::kConnection, forward_.limits_.host_wait,
                                      [this](Result<Mux*> mux) { on_host(std::move(mux)); });
  }

 private:
  void on_host(Result<Mux*> mux) {
    waiting_.reset();
    if (!mux) return refuse(mux.error());
    if (forward_.spares_) {
      if (std::unique_ptr<Channel> spare = forward_.spares_->take(**mux)) {
        on_opened();
        return carry_over(std::move(spare));
      }
    }
    auto channel =
        (*mux)->open(forward_.channel_open(), forward_.io_.now() + forward_.limits_.open_timeout, this);
    if (!channel) return refuse(channel.error());
    carry_over(*std::move(channel));
  }

  void carry_over(std::unique_ptr<Channel> channel) {
    carry(forward_.io_, std::move(stream_), std::move(channel),
          [this](const Error* error) { on_ended(error); });
  }

  void on_opened() override {
    opened_ = true;
    forward_.refused_last_ = false;
  }

  bool on_move(Mux& to) override {
    if (forward_.host_.is_served_by(to)) return true;
    return forward_.host_.may_carry(to) && forward_.io_.now() < waits_until();
  }
  TimePoint waits_until() const override { return arrived_ + forward_.limits_.host_wait; }

  void on_ended(const Error* error) {
    // A client that left before the target answered is nobody's failure.
    if (!opened_ && error && !splice_->broke_left()) {
      if (forward_.host_.mux()) forward_.refused_last_ = true;  // else it was the host's end
      return refuse(*error);
    }
    forward_.note_broken(*this, error);
    forward_.remove(*this);
  }

  // The client sees a reset: nothing that could be taken for an answer.
  void refuse(const Error& error) {
    if (stream_) stream_->abort();
    forward_.note_refused(*this, error);
    forward_.remove(*this);
  }

  LocalForward& forward_;
  std::unique_ptr<ByteStream> stream_;  // until spliced
  const TimePoint arrived_;
  std::unique_ptr<Operation> waiting_;
  bool opened_ = false;
};

LocalForward::LocalForward(Io& io, Host& host, std::string id, ForwardRequest request,
                           const ForwardLimits& limits)
    : ListeningForward(io, host, std::move(id), std::move(request), limits) {
  if (request_.prewarm == 0) return;
  spares_ = std::make_unique<SpareChannels>(io_, host_, channel_open(), request_.prewarm,
                                            limits_.open_timeout, [this](const Error& error) {
                                              refused_last_ = true;
                                              note_error(error);
                                            });
}

LocalForward::~LocalForward() { end_connections(); }

ChannelOpen LocalForward::channel_open() const {
  const Endpoint& target = *request_.target;
  return target.is_unix() ? ChannelOpen::direct_streamlocal(target.path)
                          : ChannelOpen::direct_tcpip(target.host, target.port, "127.0.0.1", 0);
}

void LocalForward::establish(Established done) {
  if (spares_ && !watching_) watching_ = host_.watch([this] { spares_->refill(); });
  if (spares_) spares_->refill();
  if (done) done({});
}

void LocalForward::stop_listening() {
  ListeningForward::stop_listening();
  watching_.reset();
  spares_.reset();
}

void LocalForward::retire() {
  watching_.reset();
  spares_.reset();
  ListeningForward::retire();
}

void LocalForward::on_accepted(std::unique_ptr<ByteStream> stream) {
  auto connection = std::make_shared<Carried>(*this, std::move(stream));
  Carried& added = *connection;
  add(std::move(connection));
  added.start();
}

}  // namespace jump
