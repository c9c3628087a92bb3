#include "hop/hop.h"

#include <utility>

#include "auth/host_key_error.h"
#include "base/log.h"

namespace jump {
namespace {

// ssh's own order, less the certificates and security keys that libssh2 cannot verify as host keys.
constexpr std::string_view kHostKeyAlgorithms =
    "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256";

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

Hop::Hop(Io& io, WindowBudget& budget, HopSpec spec, std::string id, std::function<void()> changed)
    : io_(io),
      budget_(budget),
      spec_(std::move(spec)),
      id_(std::move(id)),
      changed_(std::move(changed)),
      since_(io.now()) {
  drive_soon_ = io_.deferred([this] { drive(); });
  changed_soon_ = io_.deferred([this] { changed_(); });
  connect_timer_ = io_.timer([this] { on_connect_timeout(); });
  channel_timer_ = io_.timer([this] {
    if (mux_) mux_->tick(io_.now());
    drive();
  });
  alive_timer_ = io_.timer([this] { on_alive_timer(); });
}

Hop::~Hop() = default;

// --- the ladder
// ---------------------------------------------------------------------------------------------------

void Hop::start() {
  log::info("{}: connecting to {}", id_, spec_.describe());
  connect_timer_->start(spec_.connect_timeout);
  // Reading files may hang (a home directory over NFS), so it is done elsewhere.
  auto loaded = std::make_shared<std::shared_ptr<KnownHosts>>();
  operation_ = io_.in_pool([files = spec_.known_hosts_files,
                            loaded] { *loaded = std::make_shared<KnownHosts>(KnownHosts::load(files)); },
                           [this, loaded] {
                             known_hosts_ = std::move(*loaded);
                             dial();
                           });
}

void Hop::dial() {
  set_state(State::kConnecting);
  DialOptions options;
  options.target = Endpoint{spec_.host, spec_.port, {}};
  options.timeout = spec_.connect_timeout;
  options.quick_ack = true;
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
    auto known = known_hosts_->known_types(spec_.known_hosts_name(), spec_.known_hosts_port());
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
      if (const auto& outcome = login_->outcome(); outcome && !*outcome) fail(outcome->error());
      if (state_ == State::kClosed) return false;
      // Sends the attempt that login_ has begun; its answer may be here already, in bytes that were fed
      // before.
      bool moved_on = transport_->advance() != Transport::State::kUserauth;
      return login_->advance() || moved_on;
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
      if (state_ == State::kAuthenticating && login_ && !login_->tried().empty()) {
        error.code = Errc::kAuth;
        error.message += "; tried " + login_->tried();
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
  flush();
  arm_channel_timer();
}

bool Hop::judge_host_key() {
  const HostKey& key = transport_->host_key();
  HostKeyVerdict verdict = known_hosts_->check(spec_.known_hosts_name(), spec_.known_hosts_port(), key);
  if (verdict.kind != HostKeyVerdict::Kind::kKnown) {
    HostKeyQuestion question{spec_.alias, spec_.known_hosts_name(), spec_.known_hosts_port(),
                             spec_.ssh_command, known_hosts_->first_file()};
    Error error = host_key_error(question, verdict, key);
    for (const std::string& note : known_hosts_->notes()) error.message += "; could not read " + note;
    fail(std::move(error));
    return false;
  }
  transport_->accept_host_key();
  return true;
}

void Hop::begin_login() {
  set_state(State::kAuthenticating);
  // ssh's ConnectTimeout ends with the key exchange; a login may wait for a touch or a slow directory
  // service.
  connect_timer_->start(kLoginTimeout);
  LoginSpec login;
  login.user = spec_.user;
  login.identity_files = spec_.identity_files;
  login.identities_only = spec_.identities_only;
  login.identity_agent = spec_.identity_agent;
  userauth_ = std::make_unique<TransportUserauth>(*transport_);
  login_ = std::make_unique<Login>(io_, *userauth_, std::move(login), [this] { drive_soon_->schedule(); });
  login_->start();
}

void Hop::begin_service() {
  login_.reset();
  connect_timer_->stop();
  if (!mux_) mux_ = std::make_unique<Mux>(static_cast<PacketSink*>(this), &budget_, io_.now());
  last_heard_ = io_.now();
  set_state(State::kReady);
  log::info("{}: logged in to {} with {}", id_, spec_.describe(), transport_->describe_algorithms());
  on_alive_timer();
}

void Hop::on_connect_timeout() {
  bool login = state_ == State::kAuthenticating;
  long limit = static_cast<long>(to_seconds(login ? kLoginTimeout : spec_.connect_timeout));
  std::string message =
      fmt::format("{} within {} s", login ? "login did not finish" : "no SSH connection", limit);
  if (login && login_ && !login_->tried().empty()) message += "; tried " + login_->tried();
  fail(Error{Errc::kTimeout, std::move(message), {}});
}

// --- signs of life
// ------------------------------------------------------------------------------------------------

// Every interval: if the server has said nothing meanwhile, ask; after count_max intervals without a word it
// is dead. The questions right after login measure the round trip.
void Hop::on_alive_timer() {
  if (state_ != State::kReady) return;
  Duration interval = spec_.alive_interval > Duration::zero() ? spec_.alive_interval : kDefaultAliveInterval;
  if (silent_intervals_ >= spec_.alive_count_max) {
    return fail(Error{Errc::kTimeout,
                      "the server has not answered for " +
                          std::to_string(static_cast<long>(to_seconds(io_.now() - last_heard_))) + " s",
                      {}});
  }
  if (!mux_->round_trip().known() || io_.now() - last_heard_ >= interval) {
    silent_intervals_++;
    mux_->probe(io_.now());
  }
  alive_timer_->start(interval);
}

// --- bytes
// --------------------------------------------------------------------------------------------------------

std::size_t Hop::on_data(ByteView data) {
  if (state_ == State::kClosed) return data.size();
  last_heard_ = io_.now();
  silent_intervals_ = 0;
  transport_->advance(data);
  drive();
  return data.size();
}

void Hop::on_packet(ByteView payload) {
  // The first connection packets may come in the same read as the login's success.
  if (!mux_) mux_ = std::make_unique<Mux>(static_cast<PacketSink*>(this), &budget_, last_heard_);
  mux_->handle_packet(payload, last_heard_, Mux::More::kYes);
}

void Hop::on_packets_end() { mux_->end_packets(); }

void Hop::on_eof() {
  if (state_ == State::kClosed) return;
  transport_->feed_eof();
  drive();
}

void Hop::on_writable() { drive(); }

void Hop::on_closed(const Error* error) {
  if (state_ == State::kClosed) return;
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
  connect_timer_->stop();
  channel_timer_->stop();
  alive_timer_->stop();
  set_state(State::kClosed);
  if (mux_) mux_->fail(error_);
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

std::string Hop::algorithms() const {
  return transport_ && state_ >= State::kAuthenticating ? transport_->describe_algorithms() : std::string();
}

}  // namespace jump
