#include "forward/listening_forward.h"

#include <utility>

namespace jump {

Status ListeningForward::listen() {
  ListenOptions options;
  options.at = request_.listen;
  auto listener = io_.listen(options, [this](std::unique_ptr<ByteStream> stream) {
    if (!admit()) return stream->abort();
    on_accepted(std::move(stream));
  });
  if (!listener) return listener.error();
  listener_ = *std::move(listener);
  return {};
}

void ListeningForward::stop_listening() {
  left_ = listening();
  listener_.reset();
}

void ListeningForward::retire() {
  listener_.reset();
  end_connections();
}

Endpoint ListeningForward::listening() const {
  return listener_ ? listener_->local() : left_.value_or(request_.listen);
}

Forward::State ListeningForward::state() const {
  if (left_) return State::kEnding;
  if (!listener_) return State::kStarting;
  if (!host_.ready()) return State::kWaiting;
  return target_reached() ? State::kActive : State::kDegraded;
}

}  // namespace jump
