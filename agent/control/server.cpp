#include "control/server.h"

#include <algorithm>
#include <cassert>
#include <deque>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "base/byte_queue.h"
#include "base/log.h"
#include "proto/line_framer.h"

namespace jump {

// One connection to the control socket. kServing: requests are read and worked on. kDraining: nothing more is
// read, what was asked is still answered, what stays (sessions) stays. kLeaving: it is upgraded, and handed
// over when all is sent. kClosing: all is said; it closes when it is sent. kClosed: nothing goes either way.
//
//   line ─► pending_ (worked on) ─► answer          no room in pending_: ─► held_ ─► pending_
//
// Descriptors belong to the line with whose bytes they came, wherever in it that was.
// Answers to questions never wait: what they would wait for may be waiting for them.
class ControlServer::Client final : public Peer, private StreamHandler {
 public:
  Client(ControlServer& server, std::unique_ptr<ByteStream> stream, std::uint64_t id)
      : server_(server), stream_(std::move(stream)), id_(id), since_(server.io_.now()) {
    work_soon_ = server_.io_.deferred([this] { work(); });
  }
  ~Client() { drop_requests(); }

  std::uint64_t id() const override { return id_; }
  void notify(const std::string& line) override {
    if (state_ < State::kLeaving) send(line);
  }
  void notify_patiently(const std::string& lines) override {
    if (state_ >= State::kLeaving) return;
    patient_ += lines.size();
    send(lines);
  }
  bool all_sent() const override { return output_.empty(); }
  void on_all_sent(std::function<void()> call) override { all_sent_ = std::move(call); }
  void keep(std::unique_ptr<Operation> operation) override {
    if (operation && state_ == State::kServing) kept_.push_back(std::move(operation));
  }
  std::unique_ptr<Operation> stay(std::function<void()> gone) override {
    return std::make_unique<Stay>(*this, std::move(gone));
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
    descriptors_.clear();
    while (!stays_.empty()) {
      Stay* stay = *stays_.begin();
      stays_.erase(stays_.begin());
      stay->tell_gone();
    }
    if (auto taken = std::exchange(taken_, nullptr)) taken(nullptr);
  }

  void start() { stream_->set_handler(this); }
  // Since kHelloTime or longer.
  bool never_spoke() const {
    return fed_ == 0 && state_ == State::kServing && server_.io_.now() - since_ >= kHelloTime;
  }
  // It is told why, and is no client any more.
  void turn_away(const Error& error) {
    stream_->set_handler(nullptr);
    stream_->write(as_bytes(proto::encode_error("null", proto::to_rpc_error(error))));
    stream_->close();
    server_.io_.dispose(std::shared_ptr<ByteStream>(std::move(stream_)));
    set_state(State::kClosed);
    server_.remove(*this);
  }
  // Nothing more is begun; what is being answered still gets out.
  void stop() {
    for (const Held& each : std::exchange(held_, {}))
      refuse(each.request, Error{Errc::kClosed, "the agent is shutting down", {}});
    stopping_ = true;
    if (!stays_.empty()) return;  // their resizes and signals go on
    drain();
    if (state_ == State::kDraining && pending_.empty()) finish();  // it drained already, for what was held
  }

  std::list<std::shared_ptr<Client>>::iterator place;

 private:
  enum class State { kServing, kDraining, kLeaving, kClosing, kClosed };

  // What lasts as long as the connection. Each belongs to whoever stays.
  class Stay final : public Operation {
   public:
    Stay(Client& client, std::function<void()> gone) : client_(&client), gone_(std::move(gone)) {
      client.stays_.insert(this);
    }
    ~Stay() override {
      if (client_) client_->end_stay(*this);
    }
    void tell_gone() {
      client_ = nullptr;
      gone_();
    }

   private:
    Client* client_;
    const std::function<void()> gone_;
  };

  // A request that waits for its turn, with what came along.
  struct Held {
    proto::Request request;
    std::vector<Fd> descriptors;
  };
  // Passed with the byte of that number.
  struct Passed {
    std::uint64_t at;
    Fd fd;
  };

  // One request that is being answered.
  struct Sink final : ReplySink, std::enable_shared_from_this<Sink> {
    Client* client = nullptr;  // null once the client has gone or was answered
    std::string id;            // of the request, as JSON
    bool notification = false;
    std::vector<std::unique_ptr<Operation>> kept;
    std::function<void()> input_ended;
    std::vector<Fd> descriptors;
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
    std::vector<Fd> take_descriptors() override { return std::move(descriptors); }
    Status may_upgrade() override {
      if (client) return client->may_upgrade();
      return Error{Errc::kClosed, "the client has gone", {}};
    }
    void upgrade(std::string line, Taken taken) override {
      if (!client) return taken(nullptr);
      client->on_upgrade(*this, std::move(line), std::move(taken));
    }
  };

  // Nothing more is read; what was asked is still answered.
  void drain() {
    if (state_ != State::kServing) return;
    set_state(State::kDraining);
    resume();                          // to see its end
    std::exchange(kept_, {}).clear();  // whoever is asked has to be able to answer
    auto pending = pending_;           // some may be answered now
    for (const auto& sink : pending) {
      if (auto call = std::exchange(sink->input_ended, nullptr)) call();
    }
    finish_if_done();
  }

  // A draining one, when nothing is left to be said.
  void finish_if_done() {
    if (state_ == State::kDraining && pending_.empty() && held_.empty() && stays_.empty()) finish();
  }

  void end_stay(Stay& stay) {
    stays_.erase(&stay);
    if (stays_.empty() && (stopping_ || state_ == State::kDraining)) work_soon_->schedule();
  }

  std::size_t on_data(ByteView data) override {
    if (state_ == State::kLeaving) return 0;  // the next owner's
    if (state_ != State::kServing) return data.size();
    if (framer_.buffered() > proto::kMaxLine) {
      paused_ = true;
      return 0;
    }
    for (Fd& fd : stream_->take_descriptors()) {
      if (descriptors_.size() < kMaxPassed) descriptors_.push_back({fed_ + data.size() - 1, std::move(fd)});
    }
    fed_ += data.size();
    framer_.feed(data);
    work_soon_->schedule();
    return data.size();
  }

  // Begins what is held and what is complete, a bounded number of requests per turn.
  void work() {
    if (!stream_) return;  // it has left
    if (state_ == State::kLeaving) return flush();
    if (stopping_ && stays_.empty()) drain();
    finish_if_done();
    for (int left = kRequestsPerTurn; left > 0; --left) {
      if (state_ >= State::kLeaving) return;
      if (!held_.empty() && pending_.size() < kMaxPending) {
        Held next = std::move(held_.front());
        held_.pop_front();
        begin(next.request, std::move(next.descriptors));
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
    std::vector<Fd> descriptors = descriptors_of_line();
    auto parsed = proto::parse_request(line);
    if (auto* bad = std::get_if<proto::BadRequest>(&parsed)) {
      server_.counters_.protocol_errors++;
      return send(proto::encode_error(bad->id, bad->error));
    }
    auto& request = std::get<proto::Request>(parsed);
    for (const Fd& each : descriptors) {
      if (stream_->leads_to_same_listener(each.get())) return refuse(request, own_connection());
    }
    log::debug("client {}: {}", id_, request.method.substr(0, 64));
    if (is_urgent(request) || (held_.empty() && pending_.size() < kMaxPending))
      return begin(request, std::move(descriptors));
    server_.counters_.pauses++;
    if (held_.size() >= kMaxHeld || line.size() > kMaxHeldLine || !descriptors.empty()) {
      return refuse(request, Error{Errc::kLimit,
                                   "this client has " + std::to_string(pending_.size() + held_.size()) +
                                       " requests under way already",
                                   "wait for some of the answers"});
    }
    held_.push_back({std::move(request), {}});
  }

  std::vector<Fd> descriptors_of_line() {
    std::vector<Fd> own;
    while (!descriptors_.empty() && descriptors_.front().at < framer_.passed()) {
      own.push_back(std::move(descriptors_.front().fd));
      descriptors_.pop_front();
    }
    return own;
  }

  static bool is_urgent(const proto::Request& request) { return request.method.starts_with("interaction."); }

  void begin(proto::Request& request, std::vector<Fd> descriptors) {
    auto sink = std::make_shared<Sink>();
    sink->client = this;
    sink->id = request.id;
    sink->descriptors = std::move(descriptors);
    sink->notification = request.is_notification();
    sink->place = pending_.insert(pending_.end(), sink);
    server_.dispatcher_.dispatch(request, sink);
    if (state_ != State::kDraining) return;  // else it was held until after the end of the input
    if (auto call = std::exchange(sink->input_ended, nullptr)) call();
  }

  // Held here, it would keep the end of the client that made it from being noticed.
  static Error own_connection() {
    return Error{Errc::kInvalid, "a descriptor that was passed is a connection to this agent itself",
                 "pass an end of a socketpair, or ask for an upgrade"};
  }

  void refuse(const proto::Request& request, const Error& error) {
    if (!request.is_notification()) send(proto::encode_error(request.id, proto::to_rpc_error(error)));
  }

  void on_answer(Sink& sink, std::string line) {
    retire(sink);
    if (!sink.notification) send(line);
    work_soon_->schedule();
  }

  void retire(Sink& sink) {
    std::shared_ptr<Sink> self = std::move(*sink.place);
    pending_.erase(sink.place);
    sink.client = nullptr;
    sink.input_ended = nullptr;
    // The operation may be what is calling: it goes a little later.
    server_.io_.dispose(std::move(self));
  }

  // Between its request and its answer nothing else goes on.
  Status may_upgrade() const {
    const bool answers = state_ == State::kServing || state_ == State::kDraining;
    if (!answers || eof_) return Error{Errc::kInvalid, "the client has ended its side", {}};
    if (pending_.size() > 1 || !held_.empty() || !stays_.empty())
      return Error{Errc::kInvalid, "another request of this connection is under way",
                   "upgrade a connection of its own"};
    if (framer_.buffered() > 0)
      return Error{Errc::kInvalid, "bytes came behind a request to upgrade, before its answer", {}};
    return {};
  }

  void on_upgrade(Sink& sink, std::string line, ReplySink::Taken taken) {
    if (Status may = may_upgrade(); !may) {
      sink.answer(proto::encode_error(sink.id, proto::to_rpc_error(may.error())));
      return taken(nullptr);
    }
    retire(sink);
    std::exchange(kept_, {}).clear();
    taken_ = std::move(taken);
    set_state(State::kLeaving);
    output_.append(as_bytes(line));
    work_soon_->schedule();
  }

  void leave() {
    if (eof_) {  // before it could know the answer; whom it is handed to would never hear of that
      set_state(State::kClosed);
      return stream_->abort();
    }
    stream_->set_handler(nullptr);
    auto taken = std::exchange(taken_, nullptr);
    auto stream = std::move(stream_);
    server_.remove(*this);
    taken(std::move(stream));
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
    if (state_ == State::kLeaving) return leave();
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
    if (stream_ && output_.empty() && all_sent_) all_sent_();
  }
  void on_closed(const Error*) override {
    if (state_ != State::kClosed) set_state(State::kClosed);
    server_.remove(*this);
  }

  void set_state(State next) {
    static constexpr const char* kNames[] = {"serving", "draining", "leaving", "closing", "closed"};
    log::trace("client {}: {} -> {}", id_, kNames[static_cast<int>(state_)], kNames[static_cast<int>(next)]);
    assert(next > state_);
    state_ = next;
  }

  ControlServer& server_;
  std::unique_ptr<ByteStream> stream_;
  const std::uint64_t id_;
  const TimePoint since_;
  std::unique_ptr<Deferred> work_soon_;
  proto::LineFramer framer_;
  ByteQueue output_;
  std::size_t patient_ = 0;  // bytes of notify_patiently() since output_ was empty
  std::function<void()> all_sent_;
  std::list<std::shared_ptr<Sink>> pending_;
  std::deque<Held> held_;  // in the order of their coming
  std::set<Stay*> stays_;
  std::deque<Passed> descriptors_;                // of lines that are not complete
  std::uint64_t fed_ = 0;                         // bytes of the client's so far
  ReplySink::Taken taken_;                        // kLeaving: whose the connection is to be
  std::vector<std::unique_ptr<Operation>> kept_;  // as long as the client can send requests
  State state_ = State::kServing;
  bool stopping_ = false;  // the agent ends, or another has taken over
  bool paused_ = false;    // on_data() took less than it was offered
  bool eof_ = false;       // the client has sent all; the last of it may still be in framer_
};

ControlServer::ControlServer(Io& io, const Dispatcher& dispatcher) : io_(io), dispatcher_(dispatcher) {}

ControlServer::~ControlServer() = default;

Status ControlServer::listen(const std::string& path) {
  ListenOptions options;
  options.at.path = path;
  options.own_user_only = true;
  options.takes_descriptors = true;
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

// Whoever has not said a word makes room for one who may.
void ControlServer::make_room() {
  const auto mute = std::find_if(clients_.begin(), clients_.end(),
                                 [](const auto& client) { return client->never_spoke(); });
  if (mute == clients_.end()) return;
  counters_.over_limit++;
  log::info("client {}: has asked for nothing yet, and makes room for another", (*mute)->id());
  (*mute)->turn_away(too_many());
}

void ControlServer::set_max_clients(std::size_t wanted, std::uint64_t descriptors) {
  descriptors_are_few_ = descriptors / 4 < wanted;
  max_clients_ = descriptors_are_few_ ? static_cast<std::size_t>(descriptors / 4) : wanted;
}

Error ControlServer::too_many() const {
  return Error{Errc::kLimit, "the agent has " + std::to_string(max_clients_) + " clients already",
               descriptors_are_few_ ? "close some of them, or start the agent where ulimit -Hn is higher"
                                    : "close some of them, or raise clients in [limits] of the config file"};
}

void ControlServer::on_accepted(std::unique_ptr<ByteStream> stream) {
  if (clients_.size() >= max_clients_ && !stopped_) make_room();
  if (clients_.size() >= max_clients_ || stopped_) {
    counters_.over_limit++;
    if (!stopped_) log::warn("a client was refused: there are {} already", clients_.size());
    stream->write(as_bytes(proto::encode_error("null", proto::to_rpc_error(too_many()))));
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
