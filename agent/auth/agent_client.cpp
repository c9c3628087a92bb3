#include "auth/agent_client.h"

#include <cassert>

#include "base/log.h"

namespace jump {

AgentClient::AgentClient(Io& io, std::string socket_path)
    : io_(io),
      path_(std::move(socket_path)),
      deferred_(io.deferred([this] { pump(); })),
      timer_(io.timer([this] {
        fail_all({Errc::kTimeout, "the agent does not answer", ""});
      })) {}

AgentClient::~AgentClient() {
  if (stream_) stream_->set_handler(nullptr);
}

void AgentClient::list(Listed done) {
  enqueue({encode_list_request(), true, [done = std::move(done)](Result<Bytes> reply) {
             if (!reply) return done(reply.error());
             done(decode_identities(*reply));
           }});
}

void AgentClient::sign(ByteView key_blob, std::string_view algorithm, ByteView data, Signed done) {
  Bytes frame = encode_sign_request(key_blob, algorithm, data);
  enqueue({std::move(frame), false,
           [algorithm = std::string(algorithm), done = std::move(done)](Result<Bytes> reply) {
             if (!reply) return done(std::move(reply));
             done(decode_signature(*reply, algorithm));
           }});
}

void AgentClient::enqueue(Request request) {
  queue_.push_back(std::move(request));
  deferred_->schedule();
}

void AgentClient::set_state(State state) {
  static constexpr const char* kNames[] = {"idle", "dialing", "connected"};
  log::trace("agent {}: {} -> {}", path_, kNames[static_cast<int>(state_)], kNames[static_cast<int>(state)]);
  assert(state != State::kDialing || state_ == State::kIdle);
  assert(state != State::kConnected || state_ == State::kDialing);
  state_ = state;
}

void AgentClient::pump() {
  // Only what is there now: a done() may enqueue more, which schedules another pump.
  for (std::size_t count = finished_.size(); count > 0; --count) {
    auto [request, reply] = std::move(finished_.front());
    finished_.pop_front();
    request.done(std::move(reply));
  }
  if (queue_.empty() || front_begun_) return;
  if (state_ == State::kIdle) dial();
  if (state_ == State::kConnected) begin_front();
}

void AgentClient::dial() {
  set_state(State::kDialing);
  DialOptions options;
  options.target.path = path_;
  options.timeout = kListTimeout;
  options.keep_alive = false;
  dialing_ = io_.dial(options, [this](auto dialed) { on_dialed(std::move(dialed)); });
}

void AgentClient::on_dialed(Result<std::unique_ptr<ByteStream>> dialed) {
  if (!dialed) return fail_all(dialed.error());
  set_state(State::kConnected);
  served_ = false;
  stream_ = std::move(dialed).value();
  stream_->set_handler(this);
  deferred_->schedule();
}

void AgentClient::begin_front() {
  front_begun_ = true;
  written_ = 0;
  if (queue_.front().timed) timer_->start(kListTimeout);
  write_more();
}

void AgentClient::write_more() {
  if (!front_begun_ || !stream_) return;
  ByteView rest = ByteView(queue_.front().frame).subspan(written_);
  if (!rest.empty()) written_ += stream_->write(rest);
}

std::size_t AgentClient::on_data(ByteView data) {
  if (Status fed = framer_.feed(data); !fed) {
    fail_all(fed.error());
    return data.size();
  }
  deliver_replies();
  return data.size();
}

void AgentClient::deliver_replies() {
  while (std::optional<Bytes> message = framer_.next()) {
    bool asked = front_begun_ && written_ == queue_.front().frame.size();
    if (!asked) return fail_all({Errc::kProtocol, "the agent sent an answer that nobody asked for", ""});
    timer_->stop();
    finished_.emplace_back(std::move(queue_.front()), std::move(*message));
    queue_.pop_front();
    front_begun_ = false;
    served_ = true;
    deferred_->schedule();
  }
}

void AgentClient::on_writable() { write_more(); }

// The agent answers in full before it hangs up, so nothing can follow.
void AgentClient::on_eof() { on_closed(nullptr); }

void AgentClient::on_closed(const Error* error) {
  // Between two requests an agent may hang up, and is dialled again. One that does so before it answered
  // anything would do so for ever.
  if (!front_begun_ && (queue_.empty() || served_)) {
    drop_stream();
    if (!queue_.empty()) deferred_->schedule();
    return;
  }
  fail_all(error != nullptr ? error->context("the agent's connection broke")
                            : Error{Errc::kClosed, "the agent hung up", ""});
}

void AgentClient::fail_all(const Error& error) {
  drop_stream();
  timer_->stop();
  front_begun_ = false;
  for (Request& request : queue_) finished_.emplace_back(std::move(request), error);
  queue_.clear();
  deferred_->schedule();
}

void AgentClient::drop_stream() {
  framer_.clear();
  set_state(State::kIdle);
  if (!stream_) return;
  // May be running inside this stream's own call.
  stream_->set_handler(nullptr);
  io_.dispose(std::shared_ptr<ByteStream>(std::move(stream_)));
}

}  // namespace jump
