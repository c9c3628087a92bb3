#include "forward/local_forward.h"

#include <utility>

#include "base/log.h"

namespace jump {

// One accepted connection. Ladder: waiting for the host → opening the channel (its first bytes flow already)
// → carried.
class LocalForward::Connection final : private ChannelEvents {
 public:
  Connection(LocalForward& forward, std::unique_ptr<ByteStream> stream)
      : forward_(forward), stream_(std::move(stream)) {}

  void start() {
    waiting_ = forward_.host_.acquire(Host::Asker::kConnection, forward_.limits_.host_wait,
                                      [this](Result<Mux*> mux) { on_host(std::move(mux)); });
  }

  std::list<std::shared_ptr<Connection>>::iterator place;
  const Splice* splice() const { return splice_.get(); }

 private:
  void on_host(Result<Mux*> mux) {
    waiting_.reset();
    if (!mux) return refuse(mux.error());
    if (forward_.spares_) {
      if (std::unique_ptr<Channel> spare = forward_.spares_->take()) {
        on_opened();
        return carry(std::move(spare));
      }
    }
    auto channel = (*mux)->open(forward_.request(), forward_.io_.now() + forward_.limits_.open_timeout, this);
    if (!channel) return refuse(channel.error());
    carry(*std::move(channel));
  }

  void carry(std::unique_ptr<Channel> channel) {
    splice_ = std::make_unique<Splice>(forward_.io_, std::move(stream_), std::move(channel),
                                       [this](const Error* error) { on_ended(error); });
    splice_->start();
  }

  void on_opened() override {
    opened_ = true;
    forward_.refused_last_ = false;
  }

  void on_ended(const Error* error) {
    // A client that left before the target answered is nobody's failure.
    if (!opened_ && error && !splice_->broke_left()) {
      forward_.refused_last_ = true;
      return refuse(*error);
    }
    if (error) log::debug("{}: a connection broke: {}", forward_.id_, error->message);
    forward_.remove(*this);
  }

  // The client sees a reset: nothing that could be taken for an answer.
  void refuse(const Error& error) {
    if (stream_) stream_->abort();
    forward_.on_refused(error);
    forward_.remove(*this);
  }

  LocalForward& forward_;
  std::unique_ptr<ByteStream> stream_;  // until spliced
  std::unique_ptr<Operation> waiting_;
  std::unique_ptr<Splice> splice_;
  bool opened_ = false;
};

LocalForward::LocalForward(Io& io, Host& host, std::string id, Endpoint listen, Endpoint target,
                           std::size_t prewarm, const ForwardLimits& limits)
    : io_(io),
      host_(host),
      id_(std::move(id)),
      listen_(std::move(listen)),
      target_(std::move(target)),
      limits_(limits),
      since_(io.now()) {
  if (prewarm > 0)
    spares_ = std::make_unique<SpareChannels>(io_, host_, request(), prewarm, limits_.open_timeout);
}

LocalForward::~LocalForward() = default;

ChannelOpen LocalForward::request() const {
  return target_.is_unix() ? ChannelOpen::direct_streamlocal(target_.path)
                           : ChannelOpen::direct_tcpip(target_.host, target_.port, "127.0.0.1", 0);
}

void LocalForward::prewarm() {
  if (spares_) spares_->refill();
}

Status LocalForward::listen() {
  ListenOptions options;
  options.at = listen_;
  auto listener =
      io_.listen(options, [this](std::unique_ptr<ByteStream> stream) { on_accepted(std::move(stream)); });
  if (!listener) return listener.error();
  listener_ = *std::move(listener);
  return {};
}

Endpoint LocalForward::local() const { return listener_ ? listener_->local() : listen_; }

LocalForward::State LocalForward::state() const {
  if (!listener_) return State::kStarting;
  if (!host_.ready()) return State::kWaiting;
  return refused_last_ ? State::kDegraded : State::kActive;
}

void LocalForward::on_accepted(std::unique_ptr<ByteStream> stream) {
  past_.connections_total++;
  if (connections_.size() >= limits_.max_connections) {
    past_.refused++;
    last_error_ = Error{
        Errc::kLimit, "more than " + std::to_string(limits_.max_connections) + " connections at once", {}};
    error_time_ = io_.now();
    stream->abort();
    return;
  }
  auto connection = std::make_shared<Connection>(*this, std::move(stream));
  connection->place = connections_.insert(connections_.end(), connection);
  connection->start();
}

void LocalForward::on_refused(const Error& error) {
  past_.refused++;
  // One line a second at the most: whoever can connect can make it be refused.
  if (!last_error_ || io_.now() - error_time_ >= seconds(1)) {
    log::info("{}: a connection was refused ({} so far): {}", id_, past_.refused, error.message);
  }
  last_error_ = error;
  error_time_ = io_.now();
}

void LocalForward::remove(Connection& connection) {
  if (const Splice* splice = connection.splice()) {
    past_.bytes_out += splice->bytes_left_to_right();
    past_.bytes_in += splice->bytes_right_to_left();
  }
  std::shared_ptr<Connection> last = std::move(*connection.place);
  connections_.erase(connection.place);
  io_.dispose(std::move(last));
}

ForwardCounters LocalForward::counters() const {
  ForwardCounters sum = past_;
  sum.connections = connections_.size();
  for (const auto& connection : connections_) {
    if (const Splice* splice = connection->splice()) {
      sum.bytes_out += splice->bytes_left_to_right();
      sum.bytes_in += splice->bytes_right_to_left();
    }
  }
  return sum;
}

}  // namespace jump
