#include "session/session.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/log.h"
#include "base/printable.h"
#include "base/wire.h"

namespace jump {
namespace {

constexpr std::uint32_t kStderr = 1;          // RFC 4254 section 5.2
constexpr std::uint32_t kBreakLength = 1000;  // ms, as ssh asks for; RFC 4335
constexpr std::size_t kMaxServerText = 256;   // of a server's message, in ours

}  // namespace

// stdin: read from the start of the command on. At a terminal the escapes are taken out of it; what is left
// of one read waits here until the channel has room.
struct Session::Input final : StreamHandler {
  Session& session;
  std::unique_ptr<ByteStream> stream;
  std::optional<EscapeFilter> escapes;
  Bytes keys;         // that the channel has not taken
  bool held = false;  // waits for the channel's on_writable()

  Input(Session& owner, std::unique_ptr<ByteStream> from) : session(owner), stream(std::move(from)) {}
  std::size_t on_data(ByteView data) override {
    if (!session.channel_) return data.size();
    if (escapes) return take_keys(data);
    const std::size_t taken = session.channel_->write(data);
    session.counters_.bytes_out += taken;
    held = taken < data.size();
    return taken;
  }
  std::size_t take_keys(ByteView typed) {
    if (!keys.empty()) {
      held = true;
      return 0;
    }
    EscapeFilter::Step step = escapes->feed(typed);
    keys = std::move(step.keys);
    send_keys();
    if (step.command != EscapeFilter::Command::kNone)
      session.on_escape(step.command, escapes->text(step.command, step.key));
    // Whoever offers stops after a short take, and is asked to go on, now or in on_room().
    const bool more = step.consumed < typed.size();
    held = more && !keys.empty();
    if (more && keys.empty()) stream->resume_reading();
    return step.consumed;
  }
  void send_keys() {
    if (keys.empty() || !session.channel_) return;
    const std::size_t taken = session.channel_->write(keys);
    session.counters_.bytes_out += taken;
    keys.erase(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(taken));
  }
  void on_room() {
    send_keys();
    if (keys.empty() && std::exchange(held, false) && stream) stream->resume_reading();
    if (keys.empty() && ended && session.channel_) session.channel_->shutdown_write();
  }
  void on_eof() override {
    ended = true;
    if (keys.empty() && session.channel_) session.channel_->shutdown_write();
  }
  void on_writable() override {}
  void on_closed(const Error*) override { on_eof(); }  // what cannot be read has ended
  bool ended = false;
};

// stdout or stderr.
struct Session::Output final : StreamHandler {
  enum class State { kOpen, kEnded, kBroken };  // kBroken: its reader has gone; what comes is dropped

  Session& session;
  std::unique_ptr<ByteStream> stream;
  State state = State::kOpen;
  bool held = false;  // the channel waits for on_writable()

  Output(Session& owner, std::unique_ptr<ByteStream> to) : session(owner), stream(std::move(to)) {
    if (stream) stream->set_handler(this);
    if (!stream) state = State::kEnded;
  }
  std::size_t write(ByteView data) {
    if (state != State::kOpen) return data.size();
    const std::size_t taken = stream->write(data);
    held |= taken < data.size();  // a text of ours that fits does not end the channel's wait
    return taken;
  }
  std::size_t on_data(ByteView data) override { return data.size(); }  // of a socket that is both ways
  void on_eof() override {}
  void on_writable() override;
  void on_closed(const Error* error) override {
    state = error ? State::kBroken : State::kEnded;
    session.on_output_ended(*this, error != nullptr);
  }
};

// The channel's stream.
struct Session::Remote final : StreamHandler {
  Session& session;
  bool ended = false;  // all that the server sent was delivered
  explicit Remote(Session& owner) : session(owner) {}
  std::size_t on_data(ByteView data) override {
    const std::size_t taken = session.out_->write(data);
    session.counters_.bytes_in += taken;
    return taken;
  }
  void on_eof() override {
    ended = true;
    for (Output* each : {session.out_.get(), session.err_.get()}) {
      if (each->state == Output::State::kOpen) each->stream->shutdown_write();
    }
  }
  void on_writable() override { session.in_->on_room(); }
  void on_closed(const Error* error) override { session.on_channel_closed(error); }
};

void Session::Output::on_writable() {
  if (!std::exchange(held, false) || !session.channel_) return;
  if (this == session.err_.get()) return session.channel_->resume_extended();
  session.channel_->resume_reading();
}

Session::Session(Io& io, Host& host, std::string id, SessionRequest request, SessionStreams streams)
    : io_(io),
      host_(host),
      id_(std::move(id)),
      request_(std::move(request)),
      since_(io.now()),
      in_(std::make_unique<Input>(*this, std::move(streams.in))),
      out_(std::make_unique<Output>(*this, std::move(streams.out))),
      err_(std::make_unique<Output>(*this, std::move(streams.err))),
      remote_(std::make_unique<Remote>(*this)) {
  tell_soon_ = io_.deferred([this] {
    if (auto tell = std::exchange(tell_, nullptr)) tell();
  });
}

Session::~Session() = default;

void Session::set_state(State next) {
  static constexpr const char* kNames[] = {"waiting", "placing",  "opening", "starting",
                                           "running", "flushing", "ended"};
  log::debug("{}: {} -> {}", id_, kNames[static_cast<int>(state_)], kNames[static_cast<int>(next)]);
  assert(next > state_ || next == State::kPlacing);
  state_ = next;
}

// --- from the request to the running command
// ------------------------------------------------------------------------

void Session::start(Host::Asker asker, Duration timeout, StartedCall started, EndedCall ended) {
  started_ = std::move(started);
  ended_ = std::move(ended);
  deadline_ = io_.now() + timeout;
  log::info("{}: {} on {}", id_, request_.kind == SessionRequest::Kind::kShell ? "shell" : "command",
            host_.name());
  timer_ = io_.timer([this] {
    fail(Error{Errc::kTimeout, host_.name() + ": the session was not started in time", {}});
  });
  timer_->start(timeout + seconds(1));  // whoever is waited for has more to say about it
  waiting_ = host_.acquire(asker, timeout, [this](const Result<Mux*>& mux) { on_host(mux); });
}

void Session::on_host(const Result<Mux*>& mux) {
  waiting_.reset();
  if (!mux) return fail(mux.error());
  place();
}

void Session::place() {
  set_state(State::kPlacing);
  waiting_ = host_.sessions().ask(
      request_.agent_socket,
      [this](Mux& mux) -> SessionPool::Claim { return AgentForwarding::on(mux, io_, request_.agent_socket); },
      [this](Result<SessionPool::Place> found) { on_place(std::move(found)); });
}

void Session::on_place(Result<SessionPool::Place> place) {
  waiting_.reset();
  if (!place) return fail(place.error().context(host_.name()));
  auto channel = place->mux->open(ChannelOpen::session(), std::max(deadline_, io_.now()), this);
  if (!channel) return fail(channel.error().context(host_.name()));
  set_state(State::kOpening);
  mux_ = place->mux;
  claim_ = std::move(place->claim);
  channel_ = *std::move(channel);
  channel_->set_handler(remote_.get());
}

// The claim to forward an ssh-agent is to one connection.
bool Session::on_move(Mux& to) {
  if (claim_ || !host_.is_served_by(to)) return false;
  mux_ = &to;
  return true;
}

void Session::on_opened() {
  set_state(State::kStarting);
  request_all();
}

void Session::request_all() {
  if (claim_) (void)channel_->request("auth-agent-req@openssh.com", {});
  if (request_.terminal) {
    const TerminalRequest& wanted = *request_.terminal;
    WireWriter data;
    data.string(wanted.term)
        .u32(wanted.size.columns)
        .u32(wanted.size.rows)
        .u32(wanted.size.width)
        .u32(wanted.size.height)
        .string(wanted.modes);
    Status asked =
        channel_->request("pty-req", data.view(), [this](bool success) { started_with_.terminal = success; });
    if (!asked) return fail(asked.error().context(host_.name()));
  }
  for (const auto& [name, value] : request_.env) {
    WireWriter data;
    data.string(name).string(value);
    if (Status asked = channel_->request("env", data.view()); !asked)
      return fail(asked.error().context(host_.name()));
  }
  request_start();
}

void Session::request_start() {
  static constexpr const char* kNames[] = {"shell", "exec", "subsystem"};
  WireWriter data;
  if (request_.kind != SessionRequest::Kind::kShell) data.string(request_.command);
  Status asked = channel_->request(kNames[static_cast<int>(request_.kind)], data.view(),
                                   [this](bool success) { on_start_reply(success); });
  if (!asked) fail(asked.error().context(host_.name()));
}

void Session::on_start_reply(bool success) {
  if (state_ != State::kStarting) return;
  if (success) return run();
  const bool subsystem = request_.kind == SessionRequest::Kind::kSubsystem;
  fail(Error{
      Errc::kRefused,
      host_.name() + ": the server refused the " +
          (subsystem ? "subsystem " + request_.command
                     : std::string(request_.kind == SessionRequest::Kind::kShell ? "shell" : "command")),
      subsystem ? "the server's sshd_config names its subsystems" : ""});
}

void Session::run() {
  set_state(State::kRunning);
  timer_->stop();
  if (has_terminal() && request_.terminal->escape) in_->escapes.emplace(*request_.terminal->escape);
  if (in_->stream) {
    in_->stream->set_handler(in_.get());
  } else {
    channel_->shutdown_write();
  }
  for (Output* each : {out_.get(), err_.get()}) {
    if (each->state == Output::State::kBroken) on_output_ended(*each, true);  // before it had begun
  }
  if (auto started = std::exchange(started_, nullptr)) started(started_with_);
}

// Nobody of the server's side is left; who asked is told from the loop.
void Session::fail(Error error) {
  if (!started_) return;
  set_state(State::kEnded);
  log::info("{}: {}", id_, error.message);
  waiting_.reset();
  timer_->stop();
  if (channel_) channel_->abort();
  tell_ = [started = std::exchange(started_, nullptr), error = std::move(error)] { started(error); };
  tell_soon_->schedule();
}

// --- while it runs
// --------------------------------------------------------------------------------------------------

bool Session::on_request(std::string_view name, ByteView data) {
  WireReader in(data);
  if (name == "exit-status") {
    end_.exit_status = in.u32();
    return in.ok();
  }
  if (name == "exit-signal") {
    end_.exit_signal = printable(in.text(), 64);
    end_.core_dumped = in.boolean();
    end_.message = printable(in.text(), kMaxServerText);
    return in.ok();
  }
  return false;
}

std::size_t Session::on_extended_data(std::uint32_t type, ByteView data) {
  if (type != kStderr) return data.size();
  const std::size_t taken = err_->write(data);
  counters_.bytes_in += taken;
  return taken;
}

void Session::resize(const TerminalSize& size) {
  if (state_ != State::kRunning || !has_terminal() || !channel_) return;
  WireWriter data;
  data.u32(size.columns).u32(size.rows).u32(size.width).u32(size.height);
  (void)channel_->request("window-change", data.view());
}

Status Session::signal(std::string_view name) {
  if (state_ != State::kRunning || !channel_) return {};
  WireWriter data;
  data.string(name);
  Status sent = channel_->request("signal", data.view());
  return sent || sent.error().code != Errc::kLimit ? Status() : sent;  // one that is closing has had it
}

// As a master does, on stderr, or where a terminal has but one stream on that; nothing at the end.
void Session::on_escape(EscapeFilter::Command command, const std::string& text) {
  if (command == EscapeFilter::Command::kDisconnect)
    return end(Error{Errc::kCancelled, "ended by its escape", {}});
  std::string shown = text;
  if (command == EscapeFilter::Command::kConnections && connections_) shown += connections_();
  (err_->state == Output::State::kOpen ? err_ : out_)->write(as_bytes(shown));
  if (command != EscapeFilter::Command::kBreak || !channel_) return;
  WireWriter length;
  length.u32(kBreakLength);
  (void)channel_->request("break", length.view());
}

void Session::end(const Error& reason) {
  if (state_ != State::kRunning || !channel_) return;
  log::info("{}: {}", id_, reason.message);
  end_.error = reason.context(host_.name());
  channel_->abort();
}

// --- the end
// ------------------------------------------------------------------------------------------------------------

// A refusal of the channel may mean that the connection has as many sessions as the server allows it.
bool Session::try_elsewhere(const Error& error) {
  const bool refused = error.code == Errc::kRefused || error.code == Errc::kUnreachable;
  if (!refused || mux_->ended() || ++tries_ >= kMaxTries) return false;
  if (Status possible = host_.sessions().refused(*mux_); !possible) {
    fail(possible.error().context(host_.name()));
    return true;
  }
  claim_.reset();
  io_.dispose(std::shared_ptr<Channel>(std::move(channel_)));
  place();
  return true;
}

void Session::on_channel_closed(const Error* error) {
  if (state_ == State::kOpening && error && try_elsewhere(*error)) return;
  if (state_ < State::kRunning) {
    const std::string where = host_.name() + ": the session";
    return fail(error ? error->context(where)
                      : Error{Errc::kRefused, where + " was closed by the server before it had begun", {}});
  }
  if (state_ != State::kRunning) return;
  if (error && !remote_->ended) {
    // Output may be missing, whatever the command said of itself.
    if (!end_.error) end_.error = error->context(host_.name());
    end_.exit_status.reset();
    end_.exit_signal.clear();
  } else if (error && !end_.error && !end_.exit_status && end_.exit_signal.empty()) {
    end_.error = error->context(host_.name());
  }
  set_state(State::kFlushing);
  claim_.reset();
  if (in_->stream) in_->stream->abort();
  remote_->on_eof();
  finish_if_flushed();
}

void Session::on_output_ended(Output& output, bool broke) {
  if (state_ == State::kFlushing) return finish_if_flushed();
  if (!broke || state_ != State::kRunning || !channel_) return;
  log::debug("{}: nobody reads {} any more", id_, &output == out_.get() ? "stdout" : "stderr");
  if (&output == out_.get()) (void)channel_->request("eow@openssh.com", {});
  output.held = true;
  output.on_writable();  // what the channel holds for it is dropped
}

void Session::finish_if_flushed() {
  if (out_->state == Output::State::kOpen || err_->state == Output::State::kOpen) return;
  set_state(State::kEnded);
  tell_ = [this] {
    if (auto ended = std::exchange(ended_, nullptr)) ended(end_);
  };
  tell_soon_->schedule();
}

}  // namespace jump
