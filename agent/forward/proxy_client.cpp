#include "forward/proxy_client.h"

#include <utility>

namespace jump {

ProxyClient::ProxyClient(Io& io, std::unique_ptr<ByteStream> stream, Requested requested, Over over)
    : stream_(std::move(stream)),
      requested_(std::move(requested)),
      over_(std::move(over)),
      timer_(io.timer([this] { on_timeout(); })) {}

void ProxyClient::start() {
  timer_->start(kHandshakeTimeout);
  stream_->set_handler(this);
}

// Answers are a few hundred bytes at most: a stream that has no room for them is not read at its other end.
void ProxyClient::say(const Bytes& answer) {
  if (!answer.empty() && stream_->write(answer) < answer.size()) stream_->abort();
}

std::size_t ProxyClient::on_data(ByteView data) {
  if (state_ == State::kEnding) return data.size();
  if (state_ == State::kRequested) return 0;
  const std::size_t taken = handshake_.feed(data);
  switch (handshake_.state()) {
    case ProxyHandshake::State::kReading:
      say(handshake_.take_output());
      break;
    case ProxyHandshake::State::kRequested:
      say(handshake_.take_output());
      state_ = State::kRequested;
      timer_->stop();
      stream_->set_handler(nullptr);
      requested_(handshake_.target());
      break;
    case ProxyHandshake::State::kFailed:
      end(handshake_.take_output());
      requested_(handshake_.error());
      return data.size();
  }
  return taken;
}

void ProxyClient::on_eof() {
  if (state_ != State::kReading) return;
  end({});
  requested_(Error{Errc::kClosed, {}, {}});
}

void ProxyClient::on_closed(const Error*) {
  timer_->stop();
  if (std::exchange(state_, State::kEnding) == State::kReading) requested_(Error{Errc::kClosed, {}, {}});
  over_();
}

void ProxyClient::on_timeout() {
  if (state_ != State::kReading) return;
  state_ = State::kEnding;
  stream_->abort();
  requested_(Error{Errc::kTimeout, "a client did not say where it wants to go", {}});
}

std::unique_ptr<ByteStream> ProxyClient::grant() {
  say(handshake_.success());
  return std::move(stream_);
}

void ProxyClient::deny(const Error& error) {
  end(handshake_.failure(error));
  stream_->set_handler(this);
}

// The stream bounds how long its other end may take for that.
void ProxyClient::end(const Bytes& last_words) {
  state_ = State::kEnding;
  timer_->stop();
  say(last_words);
  stream_->close();
}

}  // namespace jump
