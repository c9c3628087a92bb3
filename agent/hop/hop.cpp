#include "hop/hop.h"

#include <arpa/inet.h>

#include <cstdlib>
#include <utility>

#include "auth/host_pattern.h"
#include "base/log.h"
#include "base/wire.h"
#include "channel/messages.h"
#include "hop/hop_plans.h"

namespace jump {
namespace {

// ssh's own order, less the certificates and security keys that libssh2 cannot verify as host keys.
constexpr std::string_view kHostKeyAlgorithms =
    "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256";

// "prod.example.org (10.0.0.5:22)", "[fe80::1]:2222" → the address as known_hosts names it; empty: none in
// it.
std::string address_in(std::string description) {
  if (description.ends_with(')')) {
    description.pop_back();
    description.erase(0, description.rfind('(') + 1);
  }
  std::size_t colon = description.rfind(':');
  if (colon == std::string::npos) return {};
  std::string host = description.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  in6_addr address;
  std::string literal = host.substr(0, host.find('%'));
  if (inet_pton(AF_INET, host.c_str(), &address) != 1 && inet_pton(AF_INET6, literal.c_str(), &address) != 1)
    return {};
  int port = std::atoi(description.c_str() + colon + 1);
  return known_hosts_name(host, static_cast<std::uint16_t>(port));
}

}  // namespace

std::string_view hop_state_name(Hop::State state) {
  switch (state) {
    case Hop::State::kPreparing:
      return "preparing";
    case Hop::State::kConnecting:
      return "connecting";
    case Hop::State::kExchanging:
      return "exchanging";
    case Hop::State::kAuthenticating:
      return "authenticating";
    case Hop::State::kReady:
      return "ready";
    case Hop::State::kClosed:
      return "closed";
  }
  return "closed";
}

Hop::Hop(Io& io, WindowBudget& budget, std::shared_ptr<Contention> contention, HopSpec spec, std::string id,
         std::function<void()> changed, Prompter* prompter, Via via)
    : io_(io),
      budget_(budget),
      contention_(std::move(contention)),
      spec_(std::move(spec)),
      id_(std::move(id)),
      prompter_(prompter),
      changed_(std::move(changed)),
      via_(std::move(via)),
      since_(io.now()),
      liveness_(spec_.alive_interval, spec_.alive_count_max) {
  drive_soon_ = io_.deferred([this] { drive(); });
  changed_soon_ = io_.deferred([this] { changed_(); });
  connect_timer_ = io_.timer([this] { on_connect_timeout(); });
  channel_timer_ = io_.timer([this] {
    if (mux_) mux_->tick(io_.now());
    drive();
  });
  alive_timer_ = io_.timer([this] { check_alive(); });
}

Hop::~Hop() = default;

// --- the ladder
// ---------------------------------------------------------------------------------------------------

void Hop::start() {
  log::info("{}: connecting to {}", id_, spec_.describe());
  connect_timer_->start(spec_.connect_timeout);
  // Reading files may hang (a home directory over NFS), so it is done elsewhere.
  auto loaded = std::make_shared<HostKeyFiles>();
  operation_ = io_.in_pool([spec = host_key_spec(spec_), loaded] { *loaded = HostKeyFiles::load(spec); },
                           [this, loaded] {
                             host_key_files_ = loaded;
                             dial();
                           });
}

void Hop::dial() {
  set_state(State::kConnecting);
  if (via_.dial) {
    connect_timer_->stop();  // the jump host's own login may take its time, which it bounds itself
    operation_ = via_.dial([this](Result<std::unique_ptr<ByteStream>> result) {
      if (!result) return fail(result.error());
      connect_timer_->start(spec_.connect_timeout);
      on_dialed(std::move(result));
    });
    return;
  }
  if (!spec_.proxy_command.empty()) {
    // As ssh does, so that the command may be anything that the user's shell understands.
    const char* shell = std::getenv("SHELL");
    StreamCommand command;
    command.argv = {shell && *shell ? shell : "/bin/sh", "-c", "exec " + spec_.proxy_command};
    command.description = "ProxyCommand '" + spec_.proxy_command + "'";
    return on_dialed(io_.spawn_stream(command));
  }
  DialOptions options;
  options.target = Endpoint{spec_.host, spec_.port, {}};
  options.timeout = spec_.connect_timeout;
  options.quick_ack = true;
  options.persistent_end = true;
  options.keep_alive = spec_.tcp_keep_alive;
  options.unanswered_max = liveness_.bound();
  options.family = spec_.address_family;
  options.bind_address = spec_.bind_address;
  options.bind_interface = spec_.bind_interface;
  options.traffic_class = spec_.traffic_class;
  options.attempts = spec_.connection_attempts;
  operation_ =
      io_.dial(options, [this](Result<std::unique_ptr<ByteStream>> result) { on_dialed(std::move(result)); });
}

void Hop::on_dialed(Result<std::unique_ptr<ByteStream>> result) {
  if (!result) return fail(result.error());
  TransportOptions options;
  options.ciphers = spec_.ciphers;
  options.kex = spec_.kex_algorithms;
  options.macs = spec_.macs;
  options.host_key_algorithms = spec_.host_key_algorithms;
  if (options.host_key_algorithms.empty()) {  // a list that the user chose is used as it is
    auto known = host_key_files_->known.known_types(spec_.known_hosts_name(), spec_.known_hosts_port());
    options.host_key_algorithms = prefer_known_types(kHostKeyAlgorithms, known);
  }
  auto transport = Transport::create(options, this);
  if (!transport) return fail(transport.error());
  transport_ = *std::move(transport);
  stream_ = *std::move(result);
  set_state(State::kExchanging);
  stream_->set_handler(this);
  drive();
}

// True when something changed, so that another look is worth it.
bool Hop::step() {
  switch (transport_->advance()) {
    case Transport::State::kExchange:
      return false;
    case Transport::State::kHostKey:
      return judge_host_key();
    case Transport::State::kUserauth: {
      if (!login_) begin_login();
      login_->advance();
      pause_login_deadline();
      if (const auto& outcome = login_->outcome(); outcome && !*outcome) fail(outcome->error());
      if (state_ == State::kClosed) return false;
      // Sends the attempt that login_ has begun; its answer may be here already, in bytes that were fed
      // before.
      bool moved_on = transport_->advance() != Transport::State::kUserauth;
      moved_on = login_->advance() || moved_on;
      pause_login_deadline();
      return moved_on;
    }
    case Transport::State::kConnection:
      if (state_ != State::kReady) begin_service();
      // Not left to the timer alone: a busy hop starts it anew all the time.
      if (TimePoint now = io_.now(); mux_->next_deadline() <= now) mux_->tick(now);
      mux_->pump(io_.now());
      if (mux_->error()) fail(*mux_->error());
      return transport_->state() == Transport::State::kFailed;  // found out while sending
    case Transport::State::kFailed: {
      Error error = transport_->error();
      if (state_ == State::kAuthenticating && login_) {
        login_->show_banner();  // it may say why
        error = cut_off(std::move(error));
      } else if (host_key_check_ && host_key_check_->asking()) {  // a server's patience ends (LoginGraceTime)
        error.code = Errc::kNeedsPerson;
        error.message += " while it waited for an answer about its host key";
      }
      fail(std::move(error));
      return false;
    }
  }
  return false;
}

void Hop::drive() {
  if (driving_) {
    again_ = true;
    return;
  }
  if (!transport_ || state_ == State::kClosed) return;
  driving_ = true;
  do {
    again_ = false;
    while (state_ != State::kClosed && step()) {
    }
  } while (again_ && state_ != State::kClosed);
  driving_ = false;
  if (state_ == State::kClosed) return;
  const bool was_full = !has_room();
  flush();
  // What the mux could not send for want of room goes now; nobody else would ask it to.
  if (was_full && has_room()) drive_soon_->schedule();
  arm_channel_timer();
}

// Comes again, through drive(), until there is an outcome.
bool Hop::judge_host_key() {
  if (!host_key_check_) {
    host_key_check_ = std::make_unique<HostKeyCheck>(
        io_, prompter_, host_key_spec(spec_), host_key_files_, transport_->host_key(),
        is_carried() ? std::string() : address_in(stream_->describe()), [this] { drive_soon_->schedule(); });
    host_key_check_->start();
    // ConnectTimeout is for machines. Each question has a deadline of its own.
    if (host_key_check_->asking())
      connect_timer_->start(Question::kDefaultTimeout * HostKeyCheck::kMaxAsked + spec_.connect_timeout);
  }
  const std::optional<Status>& outcome = host_key_check_->outcome();
  if (!outcome) return false;
  if (!*outcome) {
    Error error = outcome->error();
    fail(std::move(error));
    return false;
  }
  host_key_unrecorded_ = host_key_check_->unrecorded();
  transport_->accept_host_key();
  return true;
}

void Hop::begin_login() {
  set_state(State::kAuthenticating);
  // ssh's ConnectTimeout ends with the key exchange; a login may wait for a touch or a slow directory
  // service.
  connect_timer_->start(kLoginTimeout);
  userauth_ = std::make_unique<TransportUserauth>(*transport_);
  login_ = std::make_unique<Login>(
      io_, *userauth_, login_spec(spec_), [this] { drive_soon_->schedule(); }, prompter_);
  login_->start();
}

// A person has the question's time, the server and the agent have ours.
void Hop::pause_login_deadline() {
  const bool asked = login_->waits_for_person();
  if (asked == login_deadline_paused_) return;
  login_deadline_paused_ = asked;
  asked ? connect_timer_->stop() : connect_timer_->start(kLoginTimeout);
}

void Hop::begin_service() {
  if (login_) {
    login_->advance();  // it hears of its success, and shows the banner
    needed_person_ = login_->needed_person();
    login_report_ = login_->report();
  }
  login_.reset();
  connect_timer_->stop();
  if (!mux_) make_mux(io_.now());
  liveness_.heard(io_.now());
  set_state(State::kReady);
  log::info("{}: logged in to {} with {}", id_, spec_.describe(), transport_->describe_algorithms());
  mux_->probe(io_.now());  // measures the round trip
  watch_over();
}

void Hop::make_mux(TimePoint now) {
  mux_ = std::make_unique<Mux>(static_cast<PacketSink*>(this), &budget_, now, contention_.get(), id_);
  if (spec_.update_host_keys == UpdateHostKeys::kNo || !host_key_check_ || !host_key_check_->updatable())
    return;
  host_key_updater_ = std::make_unique<HostKeyUpdater>(
      io_, prompter_, host_key_spec(spec_), spec_.update_host_keys,
      spec_.host_key_algorithms.empty() ? std::string(kHostKeyAlgorithms) : spec_.host_key_algorithms,
      to_bytes(transport_->session_id()), [this](ByteView data, HostKeyUpdater::Proved done) {
        Status asked = mux_->global_request(HostKeyUpdate::kProveRequest, data, std::move(done));
        if (!asked) log::debug("{}: host keys are not asked to be proved: {}", id_, asked.error().message);
      });
  mux_->set_global_request_handler([this](std::string_view name, ByteView data) {
    if (name != HostKeyUpdate::kListRequest || !host_key_updater_) return false;
    host_key_updater_->on_list(data);
    return true;
  });
}

void Hop::on_connect_timeout() {
  bool login = state_ == State::kAuthenticating;
  long limit = static_cast<long>(to_seconds(login ? kLoginTimeout : spec_.connect_timeout));
  std::string message =
      fmt::format("{} within {} s", login ? "login did not finish" : "no SSH connection", limit);
  if (!login && via_.dial) message += " through " + via_.description;
  if (!login && !spec_.proxy_command.empty()) message += " by ProxyCommand '" + spec_.proxy_command + "'";
  if (login && login_) message += "; tried " + login_->tried();
  // Not to be tried again by a mere connection: it would be one more touch, or one more code.
  const bool person = login && login_ && login_->needed_person();
  fail(Error{person ? Errc::kNeedsPerson : Errc::kTimeout, std::move(message), {}});
}

// --- signs of life
// ------------------------------------------------------------------------------------------------

void Hop::watch_over() {
  const TimePoint now = io_.now();
  alive_due_ = std::max(liveness_.next_tick(), now);
  alive_timer_->start(alive_due_ - now);
}

void Hop::check_alive() {
  if (state_ != State::kReady) return;
  const TimePoint now = io_.now();
  switch (liveness_.tick(now, usual_round_trip())) {
    case Liveness::Verdict::kWell:
      break;
    case Liveness::Verdict::kAsk:
      looked_again_ = false;
      log::debug("{}: asked for a sign of life, {:.1f} s after the last", id_,
                 to_seconds(now - liveness_.last_heard()));
      if (liveness_.suspected()) {
        if (const auto delivery = stream_->delivery()) liveness_.asks(now, *delivery);
        // Asked before, it shall still be seen whether what is sent now arrives.
        if (mux_->asked_since() != TimePoint::max())
          send_packet(WireWriter().u8(ssh::kIgnore).string("").take(), {});
      }
      mux_->probe(now);
      drive_soon_->schedule();
      break;
    case Liveness::Verdict::kDead:
      // What it said may lie unread: timers are looked at before sockets.
      if (!std::exchange(looked_again_, true)) return alive_timer_->start(milliseconds(1));
      if (const auto delivery = stream_->delivery(); delivery && liveness_.path_lives(now, *delivery)) {
        log::info("{}: no answer yet, but its machine is there", id_);
        looked_again_ = false;
        ask_suspect_again();
        break;
      }
      if (const std::string condition = stream_->condition(); !condition.empty())
        log::info("{}: no answer; {}", id_, condition);
      return fail(Error{Errc::kTimeout,
                        fmt::format("the server has not answered for {:.0f} s",
                                    to_seconds(now - std::min(liveness_.last_heard(), mux_->asked_since()))),
                        {}});
  }
  watch_over();
}

std::optional<TimePoint> Hop::asked_since() const {
  if (state_ != State::kReady || mux_->asked_since() == TimePoint::max()) return std::nullopt;
  return mux_->asked_since();
}

void Hop::question() {
  if (state_ != State::kReady) return;
  questioned_since_ = std::min(questioned_since_, io_.now());
  mux_->probe(io_.now());
  drive_soon_->schedule();
}

Duration Hop::question_doubt() {
  if (state_ != State::kReady || !in_doubt()) return Duration::zero();
  const TimePoint now = io_.now();
  mux_->probe(now);
  drive_soon_->schedule();
  const Duration patience =
      std::max(kDoubtPatience, kDoubtRoundTrips * round_trip().value_or(Duration::zero()));
  const TimePoint asked = std::min(mux_->asked_since(), now);
  return std::max(asked + patience - now, Duration::zero());
}

void Hop::suspect() {
  if (state_ != State::kReady) return;
  liveness_.suspect(io_.now(), usual_round_trip());
  check_alive();
}

// Of a question, or of what waits before it.
Duration Hop::usual_round_trip() const {
  const Duration measured = round_trip().value_or(Duration::zero());
  const std::optional<Delivery> delivery = stream_->delivery();
  return delivery ? std::max(measured, delivery->round_trip) : measured;
}

// An answer may be older than the suspicion, and prove nothing: what answers the next question does.
void Hop::ask_suspect_again() {
  if (state_ != State::kReady || !liveness_.suspected() || mux_->asked_since() != TimePoint::max()) return;
  mux_->probe(io_.now());
  drive_soon_->schedule();
}

// --- bytes
// --------------------------------------------------------------------------------------------------------

std::size_t Hop::on_data(ByteView data) {
  if (state_ == State::kClosed) return data.size();
  const bool news = in_doubt() || questioned();
  const auto delivery = liveness_.suspected() ? stream_->delivery() : std::nullopt;
  delivery ? liveness_.heard(io_.now(), *delivery) : liveness_.heard(io_.now());
  if (!liveness_.suspected()) looked_again_ = false;
  questioned_since_ = TimePoint::max();
  if (news) changed_soon_->schedule();
  transport_->advance(data);
  drive();
  ask_suspect_again();
  return data.size();
}

void Hop::on_packet(ByteView payload) {
  // The first connection packets may come in the same read as the login's success.
  if (!mux_) make_mux(liveness_.last_heard());
  mux_->handle_packet(payload, liveness_.last_heard(), Mux::More::kYes);
}

void Hop::on_packets_end() { mux_->end_packets(); }

void Hop::on_eof() {
  if (state_ == State::kClosed) return;
  transport_->feed_eof();
  drive();
}

void Hop::on_writable() {
  if (state_ == State::kClosed) return;
  if (transport_) flush();  // so that there is room when the mux is asked
  drive();
}

void Hop::on_closed(const Error* error) {
  if (state_ == State::kClosed) return;
  if (error && is_carried()) {
    // Whoever carried the bytes knows more than the bytes do.
    drive();
    const bool login = state_ == State::kAuthenticating && login_;
    return fail(login ? cut_off(by_carrier(*error)) : by_carrier(*error));
  }
  // What came before the break may tell more ("Too many authentication failures") than the break itself.
  transport_->feed_eof();
  drive();
  if (state_ != State::kClosed)
    fail(error ? *error : Error{Errc::kClosed, "the server closed the connection", {}});
}

bool Hop::send_packet(ByteView head, ByteView body) {
  if (!transport_->send_packet(head, body)) return false;
  if (transport_->output().size() >= kOutputMax) flush();
  return true;
}

bool Hop::has_room() const { return transport_->output().size() < kOutputMax; }

void Hop::wake() { drive_soon_->schedule(); }

void Hop::flush() {
  ByteQueue& output = transport_->output();
  if (!output.empty() && !liveness_.waiting()) {
    liveness_.spoke(io_.now());
    if (state_ == State::kReady && liveness_.next_tick() < alive_due_) watch_over();
  }
  while (!output.empty()) {
    ByteView run = output.front();
    std::size_t count = stream_->write(run);
    output.consume(count);
    if (count < run.size()) return;  // on_writable() comes
  }
}

void Hop::arm_channel_timer() {
  if (!mux_ || mux_->next_deadline() == TimePoint::max()) return channel_timer_->stop();
  channel_timer_->start(std::max(mux_->next_deadline() - io_.now(), Duration(milliseconds(1))));
}

// --- ends
// ---------------------------------------------------------------------------------------------------------

void Hop::close(Error reason) {
  if (state_ == State::kClosed) return;
  if (state_ == State::kReady) {
    transport_->disconnect();  // so that the server's log tells it from a break
    flush();
  }
  end(std::move(reason));
  if (stream_) stream_->close();
}

void Hop::fail(Error error) {
  if (state_ == State::kClosed) return;
  end(std::move(error));
  if (stream_) stream_->abort();
}

void Hop::end(Error error) {
  error_ = with_context(error);
  log::info("{}: closed: {}", id_, error_.message);
  operation_.reset();
  if (login_) login_report_ = login_->report();
  login_.reset();  // withdraws its questions
  host_key_check_.reset();
  host_key_updater_.reset();
  connect_timer_->stop();
  channel_timer_->stop();
  alive_timer_->stop();
  set_state(State::kClosed);
  if (!mux_) return;
  if (ending_) std::exchange(ending_, nullptr)(*mux_);
  mux_->fail(error_);
}

Error Hop::cut_off(Error error) {
  // A server that says why it ends a login (SSH_MSG_DISCONNECT) is an error of kAuth already.
  login_broke_ = error.code != Errc::kAuth && !login_->needed_person() && !login_->waits_for_person();
  return login_->cut_off(std::move(error));
}

// What the carrier of our bytes says of the end: its own end, or that it could not connect us.
Error Hop::by_carrier(const Error& error) const {
  return via_.dial ? through(via_.description, error) : error;
}

Error Hop::through(const std::string& description, const Error& error) {
  if (std::string own = description + ": "; error.message.starts_with(own)) {
    return Error{error.code,
                 "the connection through " + description + " ended: " + error.message.substr(own.size()),
                 error.hint};
  }
  return error.context("through " + description);
}

Error Hop::with_context(const Error& error) const { return error.context(spec_.describe()); }

void Hop::set_state(State next) {
  log::debug("{}: {} -> {}", id_, hop_state_name(state_), hop_state_name(next));
  assert(next > state_);
  state_ = next;
  since_ = io_.now();
  changed_soon_->schedule();
}

std::optional<Duration> Hop::round_trip() const {
  if (!mux_ || !mux_->round_trip().known()) return std::nullopt;
  return mux_->round_trip().smoothed();
}

HopReport Hop::report() const {
  HopReport report;
  if (login_) report.login = login_->report();
  if (login_report_) report.login = login_report_;
  if (stream_) report.peer = stream_->describe();
  if (!transport_) return report;
  report.server_version = transport_->server_banner();
  if (transport_->host_key().blob.empty()) return report;
  report.host_key = transport_->host_key();
  report.host_key_unrecorded = host_key_unrecorded_;
  report.algorithms = transport_->describe_algorithms();
  const HostKeyVerdict verdict = host_key_files_->known.check(
      spec_.known_hosts_name(), spec_.known_hosts_port(), transport_->host_key());
  if (verdict.kind == HostKeyVerdict::Kind::kKnown && verdict.line)
    report.host_key_line = fmt::format("{}:{}", verdict.line->file, verdict.line->line);
  return report;
}

Transport::AgreedAlgorithms Hop::agreed_algorithms() const {
  return transport_ && state_ >= State::kAuthenticating ? transport_->agreed_algorithms()
                                                        : Transport::AgreedAlgorithms();
}

std::string Hop::algorithms() const {
  return transport_ && state_ >= State::kAuthenticating ? transport_->describe_algorithms() : std::string();
}

}  // namespace jump
