#include "control/server.h"

#include <cassert>
#include <deque>
#include <utility>
#include <variant>
#include <vector>

#include "base/byte_queue.h"
#include "base/log.h"
#include "proto/line_framer.h"

namespace jump {

// One connection to the control socket. kServing: requests are read and worked on. kDraining: nothing more is
// read, what was asked is still answered. kClosing: all is said; it closes when it is sent. kClosed: nothing
// goes either way.
//
//   line ─► pending_ (worked on) ─► answer          no room in pending_: ─► held_ ─► pending_
//
// Answers to questions never wait: what they would wait for may be waiting for them.
class ControlServer::Client final : public Peer, private StreamHandler {
 public:
  Client(ControlServer& server, std::unique_ptr<ByteStream> stream, std::uint64_t id)
      : server_(server), stream_(std::move(stream)), id_(id) {
    work_soon_ = server_.io_.deferred([this] { work(); });
  }
  ~Client() { drop_requests(); }

  std::uint64_t id() const override { return id_; }
  void notify(const std::string& line) override {
    if (state_ < State::kClosing) send(line);
  }
  void notify_patiently(const std::string& lines) override {
    if (state_ >= State::kClosing) return;
    patient_ += lines.size();
    send(lines);
  }
  bool all_sent() const override { return output_.empty(); }
  void on_all_sent(std::function<void()> call) override { all_sent_ = std::move(call); }
  void keep(std::unique_ptr<Operation> operation) override {
    if (operation && state_ == State::kServing) kept_.push_back(std::move(operation));
  }

  // What is under way for this client is cancelled. Without this, each request would keep itself alive: its
  // operation holds the reply, the reply holds the sink, and the sink holds the operation.
  void drop_requests() {
    for (auto& sink : std::exchange(pending_, {})) {
      sink->client = nullptr;
      sink->input_ended = nullptr;
      std::exchange(sink->kept, {}).clear();
    }
    std::exchange(kept_, {}).clear();
    held_.clear();
  }

  void start() { stream_->set_handler(this); }
  // Nothing more is begun; what is being answered still gets out.
  void stop() {
    for (const proto::Request& request : std::exchange(held_, {})) {
      refuse(request, Error{Errc::kClosed, "the agent is shutting down", {}});
    }
    drain();
    if (state_ == State::kDraining && pending_.empty()) finish();  // it drained already, for what was held
  }

  std::list<std::shared_ptr<Client>>::iterator place;

 private:
  enum class State { kServing, kDraining, kClosing, kClosed };

  // One request that is being answered.
  struct Sink final : ReplySink, std::enable_shared_from_this<Sink> {
    Client* client = nullptr;  // null once the client has gone or was answered
    bool notification = false;
    std::vector<std::unique_ptr<Operation>> kept;
    std::function<void()> input_ended;
    std::list<std::shared_ptr<Sink>>::iterator place;

    Peer* peer() override { return client; }
    void answer(std::string line) override {
      if (client) client->on_answer(*this, std::move(line));
    }
    void keep(std::unique_ptr<Operation> operation) override {
      if (client) kept.push_back(std::move(operation));
    }
    void on_input_end(std::function<void()> call) override {
      if (client) input_ended = std::move(call);
    }
  };

  // Nothing more is read; what was asked is still answered.
  void drain() {
    if (state_ != State::kServing) return;
    set_state(State::kDraining);
    std::exchange(kept_, {}).clear();  // whoever is asked has to be able to answer
    auto pending = pending_;           // some may be answered now
    for (const auto& sink : pending) {
      if (auto call = std::exchange(sink->input_ended, nullptr)) call();
    }
    if (state_ == State::kDraining && pending_.empty() && held_.empty()) finish();
  }

  std::size_t on_data(ByteView data) override {
    if (state_ != State::kServing) return data.size();
    if (framer_.buffered() > proto::kMaxLine) {
      paused_ = true;
      return 0;
    }
    framer_.feed(data);
    work_soon_->schedule();
    return data.size();
  }

  // Begins what is held and what is complete, a bounded number of requests per turn.
  void work() {
    for (int left = kRequestsPerTurn; left > 0; --left) {
      if (state_ >= State::kClosing) return;
      if (!held_.empty() && pending_.size() < kMaxPending) {
        proto::Request next = std::move(held_.front());
        held_.pop_front();
        begin(next);
        continue;
      }
      if (state_ != State::kServing) return;
      std::string_view line;
      switch (framer_.next(&line)) {
        case proto::LineFramer::Next::kLine:
          handle(line);
          framer_.drop_line();  // it may have held a password
          break;
        case proto::LineFramer::Next::kTooLong:
          server_.counters_.protocol_errors++;
          send(proto::encode_error("null", proto::line_too_long()));
          if (state_ == State::kServing) finish();  // not cut off meanwhile
          return;
        case proto::LineFramer::Next::kMore:
          if (eof_) return drain();
          return resume();
        case proto::LineFramer::Next::kEnded:
          return;
      }
    }
    work_soon_->schedule();
  }

  void handle(std::string_view line) {
    auto parsed = proto::parse_request(line);
    if (auto* bad = std::get_if<proto::BadRequest>(&parsed)) {
      server_.counters_.protocol_errors++;
      return send(proto::encode_error(bad->id, bad->error));
    }
    auto& request = std::get<proto::Request>(parsed);
    log::debug("client {}: {}", id_, request.method.substr(0, 64));
    if (is_urgent(request) || (held_.empty() && pending_.size() < kMaxPending)) return begin(request);
    server_.counters_.pauses++;
    if (held_.size() >= kMaxHeld || line.size() > kMaxHeldLine) {
      return refuse(request, Error{Errc::kLimit,
                                   "this client has " + std::to_string(pending_.size() + held_.size()) +
                                       " requests under way already",
                                   "wait for some of the answers"});
    }
    held_.push_back(std::move(request));
  }

  static bool is_urgent(const proto::Request& request) { return request.method.starts_with("interaction."); }

  void begin(proto::Request& request) {
    auto sink = std::make_shared<Sink>();
    sink->client = this;
    sink->notification = request.is_notification();
    sink->place = pending_.insert(pending_.end(), sink);
    server_.dispatcher_.dispatch(request, sink);
    if (state_ != State::kDraining) return;  // else it was held until after the end of the input
    if (auto call = std::exchange(sink->input_ended, nullptr)) call();
  }

  void refuse(const proto::Request& request, const Error& error) {
    if (!request.is_notification()) send(proto::encode_error(request.id, proto::to_rpc_error(error)));
  }

  void on_answer(Sink& sink, std::string line) {
    std::shared_ptr<Sink> self = std::move(*sink.place);
    pending_.erase(sink.place);
    sink.client = nullptr;
    sink.input_ended = nullptr;
    // The operation may be what is calling: it goes a little later.
    server_.io_.dispose(std::move(self));
    if (!sink.notification) send(line);
    if (state_ == State::kDraining && pending_.empty() && held_.empty()) return finish();
    work_soon_->schedule();
  }

  void send(const std::string& line) {
    if (state_ == State::kClosed) return;
    // Looked at before the answer is added: one answer may be longer than the bound.
    if (output_.size() > kMaxQueued + patient_) {
      log::warn("client {}: does not read its answers; cut off", id_);
      server_.counters_.cut_off++;
      set_state(State::kClosed);
      stream_->abort();
      return;
    }
    output_.append(as_bytes(line));
    flush();
  }

  void flush() {
    while (!output_.empty()) {
      ByteView run = output_.front();
      std::size_t count = stream_->write(run);
      output_.consume(count);
      if (count < run.size()) return;
    }
    patient_ = 0;
    if (state_ == State::kClosing) stream_->close();
  }

  void finish() {
    set_state(State::kClosing);
    flush();
  }

  void resume() {
    if (!std::exchange(paused_, false)) return;
    stream_->resume_reading();
  }

  void on_eof() override {
    eof_ = true;
    work_soon_->schedule();
  }
  void on_writable() override {
    flush();
    if (output_.empty() && all_sent_) all_sent_();
  }
  void on_closed(const Error*) override {
    if (state_ != State::kClosed) set_state(State::kClosed);
    server_.remove(*this);
  }

  void set_state(State next) {
    static constexpr const char* kNames[] = {"serving", "draining", "closing", "closed"};
    log::trace("client {}: {} -> {}", id_, kNames[static_cast<int>(state_)], kNames[static_cast<int>(next)]);
    assert(next > state_);
    state_ = next;
  }

  ControlServer& server_;
  std::unique_ptr<ByteStream> stream_;
  const std::uint64_t id_;
  std::unique_ptr<Deferred> work_soon_;
  proto::LineFramer framer_;
  ByteQueue output_;
  std::size_t patient_ = 0;  // bytes of notify_patiently() since output_ was empty
  std::function<void()> all_sent_;
  std::list<std::shared_ptr<Sink>> pending_;
  std::deque<proto::Request> held_;  // in the order of their coming
  std::vector<std::unique_ptr<Operation>> kept_;  // as long as the client can send requests
  State state_ = State::kServing;
  bool paused_ = false;  // on_data() took less than it was offered
  bool eof_ = false;     // the client has sent all; the last of it may still be in framer_
};

ControlServer::ControlServer(Io& io, const Dispatcher& dispatcher) : io_(io), dispatcher_(dispatcher) {}

ControlServer::~ControlServer() = default;

Status ControlServer::listen(const std::string& path) {
  ListenOptions options;
  options.at.path = path;
  options.own_user_only = true;
  auto listener =
      io_.listen(options, [this](std::unique_ptr<ByteStream> stream) { on_accepted(std::move(stream)); });
  if (!listener) return listener.error();
  listener_ = *std::move(listener);
  return {};
}

void ControlServer::stop() {
  stopped_ = true;
  listener_.reset();
  // A client may go while it drains.
  auto clients = clients_;
  for (auto& client : clients) client->stop();
}

void ControlServer::on_accepted(std::unique_ptr<ByteStream> stream) {
  if (clients_.size() >= max_clients_ || stopped_) {
    counters_.over_limit++;
    Error full{Errc::kLimit, "the agent has " + std::to_string(max_clients_) + " clients already",
               "close some of them"};
    stream->write(as_bytes(proto::encode_error("null", proto::to_rpc_error(full))));
    stream->close();
    io_.dispose(std::shared_ptr<ByteStream>(std::move(stream)));
    return;
  }
  counters_.clients++;
  auto client = std::make_shared<Client>(*this, std::move(stream), next_id_++);
  client->place = clients_.insert(clients_.end(), client);
  client->start();
}

void ControlServer::remove(Client& client) {
  std::shared_ptr<Client> last = std::move(*client.place);
  clients_.erase(client.place);
  last->drop_requests();
  io_.dispose(std::move(last));
}

}  // namespace jump
