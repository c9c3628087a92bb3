#include "forward/remote_forward.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "channel/messages.h"
#include "route/failure.h"

namespace jump {
namespace {

// For a login, which may take a person.
constexpr Duration kHostWait = std::chrono::hours(1);

DialOptions dial_options(const Endpoint& target, Duration timeout) {
  DialOptions options;
  options.target = target;
  options.timeout = timeout;
  return options;
}

std::uint32_t open_failure_reason(const Error& error) {
  return error.code == Errc::kLimit ? ssh::kOpenResourceShortage : ssh::kOpenConnectFailed;
}

}  // namespace

// One connection to a fixed target: the channel is confirmed when the target is reached.
class RemoteForward::Carried final : public Connection {
 public:
  Carried(RemoteForward& forward, IncomingChannel incoming)
      : forward_(forward), incoming_(std::move(incoming)) {}

  void start() {
    dialing_ = forward_.io_.dial(
        dial_options(*forward_.request_.target, forward_.limits_.open_timeout),
        [this](Result<std::unique_ptr<ByteStream>> result) { on_dialed(std::move(result)); });
  }

 private:
  void on_dialed(Result<std::unique_ptr<ByteStream>> result) {
    forward_.refused_last_ = !result;
    if (!result) {
      incoming_.refuse(open_failure_reason(result.error()), result.error().message);
      forward_.note_refused(*this, result.error());
      return forward_.remove(*this);
    }
    Result<std::unique_ptr<Channel>> channel = incoming_.accept(nullptr);
    if (!channel) return forward_.remove(*this);  // who connected has lost the connection already
    carry(forward_.io_, *std::move(result), *std::move(channel), [this](const Error* error) {
      forward_.note_broken(*this, error);
      forward_.remove(*this);
    });
  }

  RemoteForward& forward_;
  IncomingChannel incoming_;
  std::unique_ptr<Operation> dialing_;
};

// One client that names its target.
class RemoteForward::Proxied final : public Connection {
 public:
  Proxied(RemoteForward& forward, std::unique_ptr<ByteStream> channel)
      : forward_(forward),
        client_(
            forward.io_, std::move(channel),
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
    dialing_ = forward_.io_.dial(
        dial_options(target_, forward_.limits_.open_timeout),
        [this](Result<std::unique_ptr<ByteStream>> result) { on_dialed(std::move(result)); });
  }

  void on_dialed(Result<std::unique_ptr<ByteStream>> result) {
    if (!result) {
      forward_.failures_.failed(target_, result.error(), forward_.io_.now());
      forward_.note_refused(*this, result.error());
      return client_.deny(result.error());
    }
    forward_.failures_.reached(target_);
    carry(forward_.io_, *std::move(result), client_.grant(), [this](const Error* error) {
      forward_.note_broken(*this, error);
      forward_.remove(*this);
    });
  }

  RemoteForward& forward_;
  ProxyClient client_;
  Endpoint target_;
  std::unique_ptr<Operation> dialing_;
};

RemoteForward::RemoteForward(Io& io, Host& host, std::string id, ForwardRequest request,
                             const ForwardLimits& limits)
    : Forward(io, host, std::move(id), std::move(request), limits),
      seek_soon_(io.deferred([this] { seek(); })),
      retry_timer_(io.timer([this] { seek(); })) {}

RemoteForward::~RemoteForward() { end_connections(); }

void RemoteForward::establish(Established done) {
  wanted_ = true;
  if (port_) {
    if (done) done({});
    return;
  }
  if (done) established_.push_back(std::move(done));
  if (!watching_) watching_ = host_.watch([this] { seek(); });
  seek();
}

void RemoteForward::stop_listening() {
  left_ = listening();
  wanted_ = false;
  watching_.reset();
  waiting_.reset();
  listener_.reset();
  port_.reset();
  retry_timer_->stop();
}

void RemoteForward::retire() {
  stop_listening();
  end_connections();
  tell(Error{Errc::kClosed, "the forward was closed", {}});
}

void RemoteForward::seek() {
  // After a disconnect that a user wanted, somebody else has to connect first.
  const bool may_connect = host_.state() != Host::State::kIdle || !established_.empty() || !last_error();
  if (!wanted_ || listener_ || waiting_ || !may_connect) return;
  waiting_ =
      host_.acquire(Host::Asker::kUpkeep, kHostWait, [this](const Result<Mux*>& mux) { on_host(mux); });
}

void RemoteForward::on_host(const Result<Mux*>& mux) {
  waiting_.reset();
  if (!mux) {
    note_error(mux.error());
    tell(mux.error());
    if (!mends_itself(mux.error())) return;  // a person has to: the host is watched
    retry_timer_->start(host_pause_);
    host_pause_ = std::min(2 * host_pause_, kLongestPause);
    return;
  }
  host_pause_ = kFirstPause;
  RemoteListen at = request_.listen.is_unix() ? RemoteListen::unix_socket(request_.listen.path)
                                              : RemoteListen::tcp(request_.listen.host, request_.listen.port);
  if (!at.is_unix() && at.port == 0) at.port = last_port_;
  Mux* first = host_.first_mux();
  auto listener = (first ? *first : **mux).remote_listeners().listen(std::move(at), this);
  if (!listener) return on_refused(listener.error());
  listener_ = *std::move(listener);
}

void RemoteForward::on_listening(Result<std::uint16_t> port) {
  if (!port) {
    listener_.reset();
    // An answer that makes no sense is one that the next request would get, too.
    if (port.error().code == Errc::kRefused || port.error().code == Errc::kProtocol)
      return on_refused(port.error());
    return on_lost(port.error());
  }
  port_ = *port;
  const bool moved = std::exchange(last_port_, *port) != *port;
  pause_ = kFirstPause;
  retry_timer_->stop();
  log::info("{}: {} listens on {}", id_, host_.name(), listening().to_string());
  if (moved) tell_moved();
  tell({});
}

void RemoteForward::on_refused(const Error& error) {
  // The server gives no reason: what it may be is all that the status can say.
  const std::string may_be = error.hint.empty() ? "" : " (" + error.hint + ")";
  note_error({error.code, error.message + may_be, {}});
  log::warn("{}: {}{}; asked again in {} s", id_, error.message, may_be, to_seconds(pause_));
  if (request_.any_port()) last_port_ = 0;  // any other will do
  retry_timer_->start(pause_);
  pause_ = std::min(2 * pause_, kLongestPause);
  tell(error);
}

void RemoteForward::on_lost(const Error& error) {
  listener_.reset();
  port_.reset();
  note_error(error);
  pause_ = kFirstPause;
  tell(error);
  seek_soon_->schedule();  // by then the host knows, too
}

void RemoteForward::on_incoming(IncomingChannel incoming) {
  if (!admit()) return incoming.refuse(ssh::kOpenResourceShortage, "too many connections");
  if (request_.target) {
    auto connection = std::make_shared<Carried>(*this, std::move(incoming));
    Carried& added = *connection;
    add(std::move(connection));
    return added.start();
  }
  Result<std::unique_ptr<Channel>> channel = incoming.accept(nullptr);
  if (!channel) return;
  auto connection = std::make_shared<Proxied>(*this, *std::move(channel));
  Proxied& added = *connection;
  add(std::move(connection));
  added.start();
}

void RemoteForward::tell(const Status& outcome) {
  for (const Established& done : std::exchange(established_, {})) done(outcome);
}

Endpoint RemoteForward::listening() const {
  if (left_) return *left_;
  Endpoint at = request_.listen;
  if (!at.is_unix() && port_) at.port = *port_;
  if (request_.any_port() && !port_) at.port = last_port_;  // it is asked for again
  return at;
}

Forward::State RemoteForward::state() const {
  if (left_) return State::kEnding;
  if (port_) {
    const bool reached = request_.target ? !refused_last_ : failures_.last_reached();
    return reached ? State::kActive : State::kDegraded;
  }
  if (!wanted_) return State::kStarting;
  if (!host_.ready()) return State::kWaiting;
  return last_error() && !listener_ ? State::kBackoff : State::kStarting;
}

}  // namespace jump
