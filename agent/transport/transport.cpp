// Transport::Impl: setting up, bytes, progress, sending, failure; and the public face.

#include <errno.h>
#include <fmt/core.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <mutex>

#include "base/log.h"
#include "base/wire.h"
#include "transport/packet_cipher.h"
#include "transport/transport_impl.h"

namespace jump {

namespace {

// libssh2 asks fcntl() about this number, which fails, and then leaves it alone.
constexpr int kNoDescriptor = INT_MAX;
// Deadlines are the owner's, so libssh2's own must never come first. Seconds.
constexpr long kNoReadTimeout = 1000L * 365 * 86400;
// libssh2 may ask for more input before it uses what it has; each time brings it a step further. More of
// these in a row mean that it is stuck.
constexpr int kMaxIdleSteps = 16;
constexpr char kVersionLine[] = "SSH-2.0-jumpagent";

void init_libssh2() {
  static std::once_flag once;
  std::call_once(once, [] { libssh2_init(0); });
}

std::vector<std::string> supported_methods(LIBSSH2_SESSION* session, int kind) {
  const char** names = nullptr;
  const int count = libssh2_session_supported_algs(session, kind, &names);
  std::vector<std::string> out;
  for (int i = 0; i < count; ++i) out.emplace_back(names[i]);
  if (count > 0) libssh2_free(session, names);
  return out;
}

std::string_view state_name(Transport::State state) {
  switch (state) {
    case Transport::State::kExchange:
      return "exchange";
    case Transport::State::kHostKey:
      return "host_key";
    case Transport::State::kUserauth:
      return "userauth";
    case Transport::State::kConnection:
      return "connection";
    case Transport::State::kFailed:
      return "failed";
  }
  return "?";
}

}  // namespace

// --- setting up --------------------------------------------------------------------------------------------

Status Transport::Impl::open(const TransportOptions& options) {
  init_libssh2();
  session_ = seam::make_session(this);
  if (!session_) return Error{Errc::kInternal, "libssh2 has no memory for a session", {}};
  libssh2_session_set_read_timeout(session_.get(), kNoReadTimeout);
  libssh2_session_callback_set2(session_.get(), LIBSSH2_CALLBACK_SEND,
                                reinterpret_cast<libssh2_cb_generic*>(&Impl::send_callback));
  libssh2_session_callback_set2(session_.get(), LIBSSH2_CALLBACK_RECV,
                                reinterpret_cast<libssh2_cb_generic*>(&Impl::recv_callback));
  libssh2_session_banner_set(session_.get(), kVersionLine);
  libssh2_session_method_pref(session_.get(), LIBSSH2_METHOD_SIGN_ALGO, kUserauthSignAlgorithms);

  const Algorithms ours = default_algorithms(cpu_has_aes());
  const auto or_ours = [](const std::string& wanted, const std::string& fallback) {
    return wanted.empty() ? fallback : wanted;
  };
  Status status = prefer("key exchange method", LIBSSH2_METHOD_KEX, LIBSSH2_METHOD_KEX,
                         or_ours(options.kex, ours.kex), &algorithms_.kex);
  if (!status) return status;
  status = prefer("host key algorithm", LIBSSH2_METHOD_HOSTKEY, LIBSSH2_METHOD_HOSTKEY,
                  or_ours(options.host_key_algorithms, ours.host_key), &algorithms_.host_key);
  if (!status) return status;
  status = prefer("cipher", LIBSSH2_METHOD_CRYPT_CS, LIBSSH2_METHOD_CRYPT_SC,
                  or_ours(options.ciphers, ours.cipher), &algorithms_.cipher);
  if (!status) return status;
  status = prefer("MAC", LIBSSH2_METHOD_MAC_CS, LIBSSH2_METHOD_MAC_SC, or_ours(options.macs, ours.mac),
                  &algorithms_.mac);
  return status || options.macs.empty() ? status : go_without_mac(ours.mac, std::move(status));
}

// None of the user's MACs is ours. Ciphers that need none will do; the list of MACs must not be empty all the
// same.
Status Transport::Impl::go_without_mac(const std::string& macs, Status otherwise) {
  std::string ciphers;
  for (std::string_view cipher : split_names(algorithms_.cipher)) {
    if (authenticates(cipher)) ciphers += (ciphers.empty() ? "" : ",") + std::string(cipher);
  }
  if (ciphers.empty()) return otherwise;
  Status status =
      prefer("cipher", LIBSSH2_METHOD_CRYPT_CS, LIBSSH2_METHOD_CRYPT_SC, ciphers, &algorithms_.cipher);
  if (!status) return status;
  return prefer("MAC", LIBSSH2_METHOD_MAC_CS, LIBSSH2_METHOD_MAC_SC, macs, &algorithms_.mac);
}

// Offers what is supported of `wanted`, in both directions.
Status Transport::Impl::prefer(const char* kind, int method, int method_back, const std::string& wanted,
                               std::string* chosen) {
  Result<std::string> offered = offer(kind, wanted, supported_methods(session_.get(), method));
  if (!offered) return std::move(offered).error();
  *chosen = *offered;
  for (int m : {method, method_back}) {
    if (libssh2_session_method_pref(session_.get(), m, chosen->c_str()) != 0) {
      return Error{
          Errc::kInternal, fmt::format("libssh2 does not take the {} list \"{}\"", kind, *chosen), {}};
    }
  }
  return {};
}

// --- bytes -------------------------------------------------------------------------------------------------

ssize_t Transport::Impl::send_callback(libssh2_socket_t, const void* data, size_t size, int,
                                       void** abstract) {
  auto* self = static_cast<Impl*>(static_cast<seam::Owner*>(*abstract));
  self->output_.append({static_cast<const std::uint8_t*>(data), size});
  return static_cast<ssize_t>(size);
}

ssize_t Transport::Impl::recv_callback(libssh2_socket_t, void* buffer, size_t size, int, void** abstract) {
  auto* self = static_cast<Impl*>(static_cast<seam::Owner*>(*abstract));
  return self->receive(static_cast<std::uint8_t*>(buffer), size);
}

ssize_t Transport::Impl::receive(std::uint8_t* buffer, std::size_t size) {
  if (!may_read_) return -EAGAIN;
  if (size == 0) return too_long();  // libssh2 would ask for the rest for ever
  if (!version_.done()) return receive_version(buffer);
  if (seam::framing(session_.get()) != seam::Framing::kLibssh2) return receive_packet({buffer, size});
  return input_.size() == 0 ? starve() : static_cast<ssize_t>(input_.read({buffer, size}));
}

ssize_t Transport::Impl::too_long() {
  note(Errc::kProtocol, "the server sent a packet of more than 35,000 bytes");
  return -EMSGSIZE;
}

ssize_t Transport::Impl::starve() {
  told_eof_ = eof_;
  starved_ = true;
  return eof_ ? 0 : -EAGAIN;
}

// libssh2 reads the version line byte by byte, so that nothing behind it is taken too early.
ssize_t Transport::Impl::receive_version(std::uint8_t* buffer) {
  if (input_.read({buffer, 1}) == 0) return starve();
  if (version_.take(*buffer)) return 1;
  if (!first_error_) first_error_ = version_.error();
  return -EPROTO;
}

// Exactly one packet, so that libssh2 never holds a part of the next, which may be none of its business.
ssize_t Transport::Impl::receive_packet(std::span<std::uint8_t> buffer) {
  if (seam::framing(session_.get()) == seam::Framing::kClear) {
    const std::uint8_t* length = input_.peek(PacketCipher::kLengthSize);
    if (length == nullptr) return starve();
    const std::size_t whole = PacketCipher::kLengthSize + std::size_t{load_u32(length)};
    // libssh2 refuses a much longer one, and takes for good what does not fit its buffer.
    if (whole > buffer.size() && whole <= LIBSSH2_PACKET_MAXPAYLOAD + kMaxMargin) return too_long();
    if (whole <= buffer.size() && input_.peek(whole) == nullptr) return starve();
    return static_cast<ssize_t>(input_.read(buffer.first(std::min(whole, buffer.size()))));
  }
  if (!open_next()) return first_error_ ? -EPROTO : starve();
  const std::size_t whole = PacketCipher::kLengthSize + std::exchange(opened_, 0) + PacketCipher::kTagSize;
  if (whole > buffer.size()) return too_long();
  std::memcpy(buffer.data(), plain(), whole);
  seam::pass_packet(session_.get());
  return static_cast<ssize_t>(whole);
}

// Has the next packet decrypted at plain(). False: it is not whole yet, or it is bad.
bool Transport::Impl::open_next() {
  if (opened_ > 0) return true;
  const std::uint8_t* length = input_.peek(PacketCipher::kLengthSize);
  if (length == nullptr) return false;
  const std::optional<std::uint32_t> body = seam::body_size(session_.get(), length);
  if (!body) {
    on_bad_packet("impossible packet length");
    return false;
  }
  const std::size_t whole = PacketCipher::kLengthSize + *body + PacketCipher::kTagSize;
  const std::uint8_t* packet = input_.peek(whole);
  if (packet == nullptr) return false;
  // Of places that no packet needs yet the system makes no pages.
  if (!plain_) plain_ = std::make_unique_for_overwrite<std::uint8_t[]>(kRun * kMaxPacket);
  store_u32(plain(), *body);
  if (!seam::open_packet(session_.get(), packet, *body, plain() + PacketCipher::kLengthSize)) {
    on_bad_packet("a packet failed authentication");
    return false;
  }
  input_.consume(whole);
  opened_ = *body;
  return true;
}

// Connection packets need nothing of libssh2, but during a key exchange.
bool Transport::Impl::past_libssh2() {
  return state_ == State::kConnection && !key_exchange_on_ && !first_error_ &&
         !seam::exchanging(session_.get()) && seam::framing(session_.get()) == seam::Framing::kOurs;
}

// Hands the next packet to the owner, if it is a connection packet.
bool Transport::Impl::deliver_next() {
  if (!past_libssh2() || !open_next()) return false;
  const std::uint8_t* body = plain() + PacketCipher::kLengthSize;
  const std::size_t padding = body[0];
  if (padding + 1 >= opened_) {
    on_bad_packet("impossible padding length");
    return false;
  }
  const ByteView payload(body + 1, opened_ - 1 - padding);
  if (payload[0] == message::kIgnore) {  // it may be longer than libssh2 has room for
    opened_ = 0;
    seam::take_packet(session_.get());
    return true;
  }
  if (payload[0] < message::kConnectionFirst || payload[0] > message::kConnectionLast) return false;
  opened_ = 0;
  ++place_;
  seam::take_packet(session_.get());
  handler_->on_packet(payload);
  return true;
}

// Hands on what there is, in runs of a bounded size.
void Transport::Impl::deliver_run() {
  for (bool more = true; more;) {
    while (place_ < kRun && (more = deliver_next())) {
    }
    if (place_ == 0) return;
    handler_->on_packets_end();
    // An opened packet that is libssh2's moves to where it is looked for.
    if (opened_ > 0) std::memmove(plain_.get(), plain(), PacketCipher::kLengthSize + opened_);
    place_ = 0;
  }
}

// --- progress ----------------------------------------------------------------------------------------------

Transport::State Transport::Impl::advance(ByteView fresh) {
  input_.begin_read(fresh);
  may_read_ = true;
  for (int idle_steps = 0; state_ != State::kFailed;) {
    deliver_run();
    if (past_libssh2() && opened_ == 0 && !eof_) break;
    starved_ = false;
    const std::size_t before = input_.size();
    const int rc = first_error_ ? LIBSSH2_ERROR_PROTO : step();
    const bool again = rc == LIBSSH2_ERROR_EAGAIN;
    if (rc < 0 && !again) note_failure(rc);
    check_key_exchange(again);
    if (again && !starved_ && input_.size() == before && ++idle_steps > kMaxIdleSteps) {
      note(Errc::kInternal, "libssh2 makes no progress");
    }
    if (first_error_) fail();
    if (again && starved_) break;
    if (!again || input_.size() != before) idle_steps = 0;
  }
  may_read_ = false;
  input_.end_read();  // keeps what has to wait, as for the verdict on the host key
  return state_;
}

// One call into libssh2. EAGAIN: more input is wanted, or simply another call; negative: failure; else
// progress.
int Transport::Impl::step() {
  switch (state_) {
    case State::kExchange: {
      const int rc = libssh2_session_handshake(session_.get(), kNoDescriptor);
      if (rc == 0) enter_host_key();
      return rc;
    }
    case State::kUserauth:
      return step_userauth();
    // Also while a person looks at the host key: a server that gives up is noticed.
    case State::kHostKey:
    case State::kConnection:
      return seam::read(session_.get());
    case State::kFailed:
      break;
  }
  return LIBSSH2_ERROR_BAD_USE;
}

int Transport::Impl::step_userauth() {
  if (attempt_ == Attempt::kRequest) {
    const int rc = seam::send(session_.get(), request_, {});
    if (rc == 0) {
      attempt_ = Attempt::kReply;
      request_.clear();  // a password is kept no longer than needed; libssh2 encrypts its copy in place
    }
    return rc;
  }
  if (attempt_ == Attempt::kPublicKey || attempt_ == Attempt::kSigned) return run_publickey();
  const int rc = seam::read(session_.get());
  if (attempt_ == Attempt::kReply && reply_) end_attempt(*std::exchange(reply_, std::nullopt));
  return rc;
}

int Transport::Impl::run_publickey() {
  const int rc = libssh2_userauth_publickey(session_.get(), user_.c_str(), public_key_.data(),
                                            public_key_.size(), &Impl::sign_callback, nullptr);
  if (rc == LIBSSH2_ERROR_EAGAIN) return rc;
  if (!reply_) return rc < 0 ? rc : LIBSSH2_ERROR_PROTO;
  end_attempt(*std::exchange(reply_, std::nullopt));
  return 0;
}

void Transport::Impl::end_attempt(AuthOutcome outcome) {
  outcome.key_was_accepted = key_accepted_;
  outcome_ = std::move(outcome);
  attempt_ = Attempt::kNone;
  sign_request_.reset();
  signature_.reset();
  request_.clear();
  if (outcome_->kind == AuthOutcome::Kind::kSuccess) set_state(State::kConnection);
}

void Transport::Impl::enter_host_key() {
  std::size_t size = 0;
  int type = 0;
  const char* blob = libssh2_session_hostkey(session_.get(), &size, &type);
  const ByteView view(reinterpret_cast<const std::uint8_t*>(blob), blob != nullptr ? size : 0);
  WireReader reader(view);
  host_key_.algorithm = reader.text();
  host_key_.blob = to_bytes(view);
  if (!reader.ok()) return note(Errc::kProtocol, "the server sent a malformed host key");
  checked_exchanges_ = key_exchanges_;
  set_state(State::kHostKey);
}

// libssh2 neither reports a failed key re-exchange nor minds another host key in it.
void Transport::Impl::check_key_exchange(bool again) {
  if (state_ == State::kExchange) return;
  if (key_exchange_on_ && !again) note(Errc::kProtocol, "the key re-exchange with the server failed");
  if (checked_exchanges_ == key_exchanges_) return;
  checked_exchanges_ = key_exchanges_;
  memory().note_key_exchange();
  std::size_t size = 0;
  int type = 0;
  const char* blob = libssh2_session_hostkey(session_.get(), &size, &type);
  if (blob == nullptr || std::string_view(blob, size) != as_text(host_key_.blob)) {
    note(Errc::kHostKey, "the server came up with another host key in a key re-exchange");
  }
}

// --- sending -----------------------------------------------------------------------------------------------

bool Transport::Impl::send_packet(ByteView head, ByteView body) {
  // From within advance() libssh2 may be half-way through anything.
  if (state_ != State::kConnection || key_exchange_on_ || may_read_) return false;
  if (seam::seals(session_.get())) {
    sealing_ = true;  // a rekey agrees on the same
    std::uint8_t* room = output_.prepare(seam::sealed_size(head.size() + body.size()));
    const std::size_t size = seam::seal(session_.get(), head, body, room);
    output_.commit(size);
    if (size > 0) return true;
    note(Errc::kClosed,
         "the cipher refuses to encrypt: its keys have been used for as long as is safe, or there is no "
         "randomness");
    fail();
    return false;
  }
  const int rc = seam::send(session_.get(), head, body);
  if (rc == LIBSSH2_ERROR_EAGAIN) return false;
  if (rc < 0) {
    note_failure(rc);
    fail();
  }
  return rc == 0;
}

void Transport::Impl::disconnect() {
  if (state_ == State::kExchange || state_ == State::kFailed || key_exchange_on_) return;
  constexpr std::uint32_t kByApplication = 11;
  const Bytes message = WireWriter()
                            .u8(message::kDisconnect)
                            .u32(kByApplication)
                            .string("disconnected by user")
                            .string("")
                            .take();
  seam::send(session_.get(), message, {});
}

Transport::AgreedAlgorithms Transport::Impl::agreed_algorithms() const {
  if (!agreement_) return {};
  const auto name = [this](int kind) {
    const char* found = libssh2_session_methods(session_.get(), kind);
    return std::string(found != nullptr ? found : "?");
  };
  return {name(LIBSSH2_METHOD_KEX), name(LIBSSH2_METHOD_HOSTKEY), agreement_->cipher, agreement_->mac_out};
}

std::string Transport::Impl::describe_algorithms() const {
  if (!agreement_) return {};
  const AgreedAlgorithms agreed = agreed_algorithms();
  return agreed.kex + ", " + agreed.cipher + (agreed.mac.empty() ? "" : ", " + agreed.mac);
}

// --- failure -----------------------------------------------------------------------------------------------

void Transport::Impl::note(Errc code, std::string message) {
  if (!first_error_) first_error_ = Error{code, std::move(message), {}};
}

seam::Owner::Verdict Transport::Impl::reject(Errc code, std::string message) {
  note(code, "the server broke the protocol: " + message);
  return Verdict::kReject;
}

void Transport::Impl::note_failure(int rc) {
  if (!first_error_) first_error_ = error_of(rc);
}

void Transport::Impl::fail() {
  if (state_ == State::kFailed) return;
  error_ = *first_error_;
  attempt_ = Attempt::kNone;
  sign_request_.reset();
  request_.clear();
  set_state(State::kFailed);
}

void Transport::Impl::set_state(State state) {
  log::trace("transport: {} -> {}", state_name(state_), state_name(state));
  state_ = state;
}

Error Transport::Impl::error_of(int rc) const {
  switch (rc) {
    case LIBSSH2_ERROR_SOCKET_RECV:
    case LIBSSH2_ERROR_SOCKET_DISCONNECT:
      break;
    case LIBSSH2_ERROR_DECRYPT:
    case LIBSSH2_ERROR_INVALID_MAC:
    case LIBSSH2_ERROR_OUT_OF_BOUNDARY:
      return Error{Errc::kProtocol, "the connection is corrupted: malformed packet", {}};
    default:
      break;
  }
  if (told_eof_) return closed_error();
  char* text = nullptr;
  const int last = libssh2_session_last_error(session_.get(), &text, nullptr, 0);
  if (state_ == State::kExchange && version_.done()) {
    return Error{Errc::kProtocol,
                 fmt::format("key exchange failed: {} ({})", text != nullptr ? text : "", last),
                 "the server could not prove that it holds its host key, or spoke nonsense"};
  }
  return Error{Errc::kProtocol, fmt::format("SSH failed: {} ({})", text != nullptr ? text : "", rc), {}};
}

Error Transport::Impl::closed_error() const {
  constexpr std::string_view kClosed = "connection closed by the server";
  std::string when;
  switch (state_) {
    case State::kExchange:
      if (!version_.done()) {
        when = " before it said which SSH version it speaks";
        if (!version_.said().empty()) when += fmt::format(" (it said: \"{}\")", version_.said());
      } else {
        when = key_exchanges_ == 0 ? " during key exchange" : " before login";
      }
      break;
    case State::kHostKey:
      when = " while its host key was being checked";
      break;
    case State::kUserauth:
      when = " during login";
      break;
    case State::kConnection:
    case State::kFailed:
      break;
  }
  return Error{Errc::kClosed, std::string(kClosed) + when, {}};
}

// --- the public face ---------------------------------------------------------------------------------------

Transport::Transport(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Transport::~Transport() = default;

Result<std::unique_ptr<Transport>> Transport::create(const TransportOptions& options,
                                                     PacketHandler* handler) {
  auto impl = std::make_unique<Impl>(handler);
  Status opened = impl->open(options);
  if (!opened) return std::move(opened).error();
  return std::unique_ptr<Transport>(new Transport(std::move(impl)));
}

void Transport::feed(ByteView data) { impl_->feed(data); }
void Transport::feed_eof() { impl_->feed_eof(); }
Transport::State Transport::advance(ByteView fresh) { return impl_->advance(fresh); }
Transport::State Transport::state() const { return impl_->state(); }
std::size_t Transport::max_payload() const { return impl_->seals() ? SIZE_MAX : kMaxPayload; }
const Error& Transport::error() const { return impl_->error(); }
ByteQueue& Transport::output() { return impl_->output(); }
const HostKey& Transport::host_key() const { return impl_->host_key(); }
void Transport::accept_host_key() { impl_->accept_host_key(); }
ByteView Transport::session_id() const { return impl_->session_id(); }
std::string Transport::server_banner() const { return impl_->server_banner(); }
Transport::AgreedAlgorithms Transport::agreed_algorithms() const { return impl_->agreed_algorithms(); }

std::string Transport::describe_algorithms() const { return impl_->describe_algorithms(); }
std::string Transport::take_userauth_banner() { return impl_->take_userauth_banner(); }
void Transport::start_none(const std::string& user) { impl_->start_none(user); }
void Transport::start_publickey(const std::string& user, ByteView blob) {
  impl_->start_publickey(user, blob);
}
std::optional<SignRequest> Transport::take_sign_request() { return impl_->take_sign_request(); }
void Transport::provide_signature(Result<Bytes> signature) { impl_->provide_signature(std::move(signature)); }
std::optional<AuthOutcome> Transport::take_outcome() { return impl_->take_outcome(); }
bool Transport::send_packet(ByteView head, ByteView body) { return impl_->send_packet(head, body); }
void Transport::disconnect() { impl_->disconnect(); }
std::uint64_t Transport::rekeys() const { return impl_->rekeys(); }
std::size_t Transport::library_memory() const { return impl_->memory().in_use(); }

}  // namespace jump
