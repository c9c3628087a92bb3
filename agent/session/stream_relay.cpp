#include "session/stream_relay.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace jump {

StreamRelay::StreamRelay(Io& io, Host& host, std::string id, Endpoint target)
    : io_(io), host_(host), id_(std::move(id)), target_(std::move(target)), since_(io.now()) {
  tell_soon_ = io_.deferred([this] {
    if (auto call = std::exchange(call_, nullptr)) call();
  });
}

StreamRelay::~StreamRelay() = default;

void StreamRelay::start(Host::Asker asker, Duration timeout, Duration open_timeout, Opened opened) {
  opened_ = std::move(opened);
  open_timeout_ = open_timeout;
  deadline_ = io_.now() + timeout;
  waiting_ = host_.acquire(asker, timeout, [this](const Result<Mux*>& mux) { on_host(mux); });
}

void StreamRelay::on_host(const Result<Mux*>& mux) {
  waiting_.reset();
  if (!mux) return tell(mux.error());
  const ChannelOpen request = target_.is_unix()
                                  ? ChannelOpen::direct_streamlocal(target_.path)
                                  : ChannelOpen::direct_tcpip(target_.host, target_.port, "127.0.0.1", 0);
  const TimePoint now = io_.now();
  auto channel = (*mux)->open(request, std::min(now + open_timeout_, std::max(deadline_, now)), this);
  if (!channel) return tell(channel.error());
  state_ = State::kOpening;
  channel_ = *std::move(channel);
  channel_->set_handler(this);
}

void StreamRelay::on_opened() {
  state_ = State::kRunning;
  channel_->set_handler(nullptr);  // its bytes, and its end, wait for carry()
  log::debug("{}: {} via {}", id_, target_.to_string(), host_.name());
  tell({});
}

void StreamRelay::on_closed(const Error* error) {
  const Error why = error ? *error : Error{Errc::kClosed, target_.to_string() + ": closed at once", {}};
  if (state_ == State::kOpening) return tell(why);
  broken_ = why;  // before there was a client to tell
}

void StreamRelay::tell(Status outcome) {
  if (!outcome) {
    state_ = State::kEnded;
    outcome = outcome.error().context(host_.name());
    log::debug("{}: {}", id_, outcome.error().message);
  }
  call_ = [opened = std::exchange(opened_, nullptr), outcome = std::move(outcome)] { opened(outcome); };
  tell_soon_->schedule();
}

void StreamRelay::carry(std::unique_ptr<ByteStream> client, Ended ended) {
  ended_ = std::move(ended);
  if (!broken_ && channel_->ended())  // while nobody listened to it
    broken_ =
        Error{Errc::kClosed, target_.to_string() + ": the connection to " + host_.name() + " has ended", {}};
  if (broken_) {
    client->abort();
    io_.dispose(std::shared_ptr<ByteStream>(std::move(client)));
    state_ = State::kEnded;
    call_ = [this] { ended_(&*broken_); };
    return tell_soon_->schedule();
  }
  channel_->forget_owner();
  splice_ = std::make_unique<Splice>(io_, std::move(client), std::move(channel_), [this](const Error* error) {
    state_ = State::kEnded;
    if (ended_) std::exchange(ended_, nullptr)(error);
  });
  splice_->start();
}

}  // namespace jump
