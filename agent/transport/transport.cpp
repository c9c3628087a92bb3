// Transport::Impl: drives one libssh2 session over the bytes that were fed, one step at a time, and judges
// each packet before libssh2 sees it (on_packet()).
#include "transport/transport.h"

#include <errno.h>
#include <fmt/core.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <mutex>

#include "base/log.h"
#include "base/wire.h"
#include "transport/algorithms.h"
#include "transport/kexinit.h"
#include "base/printable.h"
#include "transport/seam.h"
#include "transport/version_exchange.h"

namespace jump {

namespace {

enum Message : std::uint8_t {
  kDisconnect = 1,
  kIgnore = 2,
  kUnimplemented = 3,
  kDebug = 4,
  kServiceAccept = 6,
  kExtInfo = 7,
  kKexInit = 20,
  kNewKeys = 21,
  kKexMethodFirst = 30,
  kKexMethodLast = 49,
  kUserauthRequest = 50,
  kUserauthFailure = 51,
  kUserauthSuccess = 52,
  kUserauthBanner = 53,
  kUserauthPkOk = 60,
  kUserauthLast = 79,
  kConnectionFirst = 80,
  kConnectionLast = 127,
};

// libssh2 asks fcntl() about this number, which fails, and then leaves it alone.
constexpr int kNoDescriptor = INT_MAX;
// Deadlines are the owner's, so libssh2's own must never come first. Seconds.
constexpr long kNoReadTimeout = 10L * 365 * 86400;
// libssh2 may ask for more input before it uses what it has; each time brings it a step further. More of
// these in a row mean that it is stuck.
constexpr int kMaxIdleSteps = 16;
// Of a server's text, in an error message.
constexpr std::size_t kQuoted = 200;
constexpr char kVersionLine[] = "SSH-2.0-jumpagent";
constexpr char kUserauthSignAlgorithms[] = "rsa-sha2-512,rsa-sha2-256";
constexpr std::string_view kCertificateSuffix = "-cert-v01@openssh.com";

void init_libssh2() {
  static std::once_flag once;
  std::call_once(once, [] { libssh2_init(0); });
}

// "ssh-ed25519-cert-v01@openssh.com" → "ssh-ed25519", "sk-ssh-ed25519-cert-v01@…" →
// "sk-ssh-ed25519@openssh.com".
std::string signature_algorithm(std::string_view name) {
  if (!name.ends_with(kCertificateSuffix)) return std::string(name);
  std::string plain(name.substr(0, name.size() - kCertificateSuffix.size()));
  return plain.starts_with("sk-") ? plain + "@openssh.com" : plain;
}

bool is_rsa(std::string_view key_type) { return signature_algorithm(key_type) == "ssh-rsa"; }

// Those libssh2 hands on as they are: signature, then flags and counter.
bool is_security_key(std::string_view algorithm) { return algorithm.starts_with("sk-"); }

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

// Chunks that the output queue keeps for the next packets: what is written to a socket in one go.
constexpr std::size_t kOutputSpare = 4;

class Transport::Impl final : public seam::Owner {
 public:
  explicit Impl(PacketHandler* handler) : handler_(handler) {}

  Status open(const TransportOptions& options);

  void feed(ByteView data) { input_.append(data); }
  void feed_eof() { eof_ = true; }
  State advance(ByteView fresh);
  State state() const { return state_; }
  const Error& error() const { return error_; }
  ByteQueue& output() { return output_; }

  const HostKey& host_key() const { return host_key_; }
  void accept_host_key();
  std::string server_banner() const { return version_.version(); }
  std::string describe_algorithms() const;
  std::string take_userauth_banner() { return std::exchange(banner_text_, {}); }

  void start_none(const std::string& user);
  void start_publickey(const std::string& user, ByteView blob);
  std::optional<SignRequest> take_sign_request() { return std::exchange(sign_request_, std::nullopt); }
  void provide_signature(Result<Bytes> signature);
  std::optional<AuthOutcome> take_outcome() { return std::exchange(outcome_, std::nullopt); }

  bool send_packet(ByteView head, ByteView body);
  void disconnect();
  std::uint64_t rekeys() const { return key_exchanges_ > 0 ? key_exchanges_ - 1 : 0; }

 private:
  // The one userauth attempt that may be under way, step by step.
  enum class Attempt {
    kNone,       // none is
    kRequest,    // request_ is to be sent ("none")
    kReply,      // the server is to answer it
    kPublicKey,  // libssh2 runs it, up to the server's answer to the key
    kSign,       // the owner is to provide_signature()
    kSigned,     // libssh2 runs it, up to the server's answer to the signature
  };

  // seam::Owner
  Verdict on_packet(ByteView payload) override;
  void on_bad_packet(std::string_view why) override;
  void on_memory_limit() override;

  // libssh2's callbacks
  static ssize_t send_callback(libssh2_socket_t, const void* data, size_t size, int, void** abstract);
  static ssize_t recv_callback(libssh2_socket_t, void* buffer, size_t size, int, void** abstract);
  static int sign_callback(LIBSSH2_SESSION*, unsigned char** signature, size_t* size,
                           const unsigned char* data, size_t data_size, void** abstract);

  Status prefer(const char* kind, int method, int method_back, const std::string& wanted,
                std::string* chosen);
  ssize_t receive(std::uint8_t* buffer, std::size_t size);
  ssize_t receive_version(std::uint8_t* buffer);
  std::size_t take_input(std::span<std::uint8_t> out);

  int step();
  int step_userauth();
  int run_publickey();
  void end_attempt(AuthOutcome outcome);
  void enter_host_key();
  void check_key_exchange(bool again);

  Verdict on_kexinit(ByteView payload);
  Verdict on_newkeys();
  Verdict on_userauth(std::uint8_t type, ByteView payload);
  Verdict on_failure(ByteView payload);
  Verdict on_success();
  Verdict on_pk_ok(ByteView payload);
  Verdict on_banner(ByteView payload);
  Verdict on_connection(ByteView payload);
  void on_disconnect(ByteView payload);
  void on_ext_info(ByteView payload);
  bool awaits_reply() const;
  int want_signature(ByteView data);
  int use_signature(unsigned char** signature, size_t* size);

  Verdict reject(Errc code, std::string message);
  void note(Errc code, std::string message);
  void note_failure(int rc);
  void fail();
  void set_state(State state);
  Error closed_error() const;
  Error error_of(int rc) const;

  PacketHandler* const handler_;
  State state_ = State::kExchange;
  Error error_;
  std::optional<Error> first_error_;  // libssh2 replaces reasons by consequences: the first reason counts

  std::size_t available() const { return input_.size() + fresh_.size(); }

  ByteQueue input_;
  ByteView fresh_;  // behind input_, and the caller's: good until advance() returns
  ByteQueue output_{kOutputSpare};
  bool eof_ = false;
  bool starved_ = false;   // libssh2 asked for input during this step and there was none
  bool may_read_ = false;  // only advance() may use up input, and so call the handler

  VersionExchange version_;
  Algorithms algorithms_;
  std::optional<Agreement> agreement_;  // of the first key exchange; later ones must come to the same
  bool key_exchange_on_ = false;        // from the server's KEXINIT to its NEWKEYS
  std::uint64_t key_exchanges_ = 0;     // the server's NEWKEYS
  std::uint64_t checked_exchanges_ = 0;
  HostKey host_key_;

  Attempt attempt_ = Attempt::kNone;
  std::string user_;
  Bytes public_key_;
  Bytes request_;
  std::string sign_algorithm_;
  std::optional<SignRequest> sign_request_;
  std::optional<Result<Bytes>> signature_;
  std::optional<AuthOutcome> reply_;    // the server's, seen passing; what libssh2 makes of it is less
  std::optional<AuthOutcome> outcome_;  // for the owner
  bool key_accepted_ = false;
  bool authenticated_ = false;  // USERAUTH_SUCCESS has passed: connection packets may follow
  std::optional<std::string> server_sign_algorithms_;
  std::string banner_text_;
  std::size_t banner_bytes_ = 0;

  seam::SessionPtr session_;  // last: it goes first, and may still call the callbacks
};

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
  return prefer("MAC", LIBSSH2_METHOD_MAC_CS, LIBSSH2_METHOD_MAC_SC, or_ours(options.macs, ours.mac),
                &algorithms_.mac);
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
  if (size == 0) {  // libssh2 accepts lengths that do not fit its buffer, and would ask for the rest for ever
    note(Errc::kProtocol, "the server sent a packet of more than 35,000 bytes");
    return -EMSGSIZE;
  }
  if (available() == 0) {
    if (eof_) return 0;
    starved_ = true;
    return -EAGAIN;
  }
  if (!version_.done()) return receive_version(buffer);
  return static_cast<ssize_t>(take_input({buffer, size}));
}

std::size_t Transport::Impl::take_input(std::span<std::uint8_t> out) {
  if (!input_.empty()) return input_.read(out);
  const std::size_t count = std::min(out.size(), fresh_.size());
  std::memcpy(out.data(), fresh_.data(), count);
  fresh_ = fresh_.subspan(count);
  return count;
}

// libssh2 reads the version line byte by byte, so that nothing behind it is taken too early.
ssize_t Transport::Impl::receive_version(std::uint8_t* buffer) {
  take_input({buffer, 1});
  if (version_.take(*buffer)) return 1;
  if (!first_error_) first_error_ = version_.error();
  return -EPROTO;
}

// --- progress ----------------------------------------------------------------------------------------------

Transport::State Transport::Impl::advance(ByteView fresh) {
  fresh_ = fresh;
  may_read_ = true;
  for (int idle_steps = 0; state_ != State::kFailed;) {
    starved_ = false;
    const std::size_t before = available();
    const int rc = step();
    const bool again = rc == LIBSSH2_ERROR_EAGAIN;
    if (rc < 0 && !again) note_failure(rc);
    check_key_exchange(again);
    if (again && !starved_ && available() == before && ++idle_steps > kMaxIdleSteps) {
      note(Errc::kInternal, "libssh2 makes no progress");
    }
    if (first_error_) fail();
    if (again && starved_) break;
    if (!again || available() != before) idle_steps = 0;
  }
  may_read_ = false;
  input_.append(std::exchange(fresh_, {}));  // what has to wait, as for the verdict on the host key
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
    if (rc == 0) attempt_ = Attempt::kReply;
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
  std::size_t size = 0;
  int type = 0;
  const char* blob = libssh2_session_hostkey(session_.get(), &size, &type);
  if (blob == nullptr || std::string_view(blob, size) != as_text(host_key_.blob)) {
    note(Errc::kHostKey, "the server came up with another host key in a key re-exchange");
  }
}

// --- packets, before libssh2 sees them ---------------------------------------------------------------------

seam::Owner::Verdict Transport::Impl::on_packet(ByteView payload) {
  const std::uint8_t type = payload[0];
  if (type == kDisconnect) on_disconnect(payload);
  if (type == kDisconnect || type == kIgnore || type == kDebug) return Verdict::kPass;
  if (type == kKexInit) return on_kexinit(payload);
  if (type == kNewKeys) return on_newkeys();
  if (type >= kKexMethodFirst && type <= kKexMethodLast) {
    return key_exchange_on_ ? Verdict::kPass : reject(Errc::kProtocol, "an unexpected key exchange message");
  }
  // Until the first keys are there only libssh2 may judge what else comes (strict key exchange), and whatever
  // it does not want it keeps: nothing has a place there.
  if (key_exchanges_ == 0) {
    return type == kUnimplemented ? Verdict::kPass
                                  : reject(Errc::kProtocol, fmt::format("message {} before any keys", type));
  }
  if (type == kExtInfo) {
    on_ext_info(payload);
    return Verdict::kPass;
  }
  if (type == kServiceAccept && state_ == State::kExchange) return Verdict::kPass;
  if (type >= kUserauthRequest && type <= kUserauthLast) return on_userauth(type, payload);
  if (type >= kConnectionFirst && type <= kConnectionLast) return on_connection(payload);
  if (type == kUnimplemented && !authenticated_) {
    return reject(Errc::kProtocol, "the server does not implement what a login needs");
  }
  return Verdict::kTaken;  // nobody would ever read it
}

seam::Owner::Verdict Transport::Impl::on_connection(ByteView payload) {
  if (!authenticated_) {
    return reject(Errc::kProtocol, fmt::format("connection message {} before login", payload[0]));
  }
  handler_->on_packet(payload);
  return Verdict::kTaken;
}

seam::Owner::Verdict Transport::Impl::on_kexinit(ByteView payload) {
  if (key_exchange_on_) return reject(Errc::kProtocol, "a second KEXINIT in one key exchange");
  Result<Agreement> agreement = negotiate(algorithms_, payload);
  if (!agreement) {
    if (!first_error_) first_error_ = std::move(agreement).error();
    return Verdict::kReject;
  }
  if (agreement_ && *agreement_ != *agreement) {
    return reject(Errc::kProtocol, "the server wants other ciphers in a key re-exchange");
  }
  agreement_ = *agreement;
  key_exchange_on_ = true;
  return Verdict::kPass;
}

seam::Owner::Verdict Transport::Impl::on_newkeys() {
  if (!key_exchange_on_) return reject(Errc::kProtocol, "NEWKEYS without a key exchange");
  key_exchange_on_ = false;
  ++key_exchanges_;
  return Verdict::kPass;
}

void Transport::Impl::on_disconnect(ByteView payload) {
  constexpr std::uint32_t kNoMoreAuthMethods = 14;
  WireReader reader(payload.subspan(1));
  const std::uint32_t reason = reader.u32();
  const std::string text = printable(reader.text(), kQuoted);
  const bool login = reason == kNoMoreAuthMethods || state_ == State::kUserauth;
  note(login ? Errc::kAuth : Errc::kClosed,
       fmt::format("server disconnected: {}", text.empty() ? fmt::format("reason {}", reason) : text));
}

void Transport::Impl::on_ext_info(ByteView payload) {
  WireReader reader(payload.subspan(1));
  std::uint32_t count = reader.u32();
  while (count-- > 0 && reader.ok()) {
    const std::string_view name = reader.text();
    const std::string_view value = reader.text();
    if (reader.ok() && name == "server-sig-algs") server_sign_algorithms_ = std::string(value);
  }
}

bool Transport::Impl::awaits_reply() const {
  const bool asked =
      attempt_ == Attempt::kReply || attempt_ == Attempt::kPublicKey || attempt_ == Attempt::kSigned;
  return asked && !reply_;
}

seam::Owner::Verdict Transport::Impl::on_userauth(std::uint8_t type, ByteView payload) {
  if (type == kUserauthBanner) return on_banner(payload);
  if (authenticated_) return Verdict::kTaken;  // RFC 4252 section 5.3: to be ignored
  if (!awaits_reply()) return reject(Errc::kProtocol, fmt::format("unexpected login message {}", type));
  switch (type) {
    case kUserauthFailure:
      return on_failure(payload);
    case kUserauthSuccess:
      return on_success();
    case kUserauthPkOk:
      return on_pk_ok(payload);
    default:
      return reject(Errc::kProtocol, fmt::format("unexpected login message {}", type));
  }
}

seam::Owner::Verdict Transport::Impl::on_failure(ByteView payload) {
  WireReader reader(payload.subspan(1));
  AuthOutcome reply;
  for (std::string_view method : split_names(reader.text())) reply.can_continue.emplace_back(method);
  reply.kind = reader.boolean() ? AuthOutcome::Kind::kPartial : AuthOutcome::Kind::kFailure;
  if (!reader.ok()) return reject(Errc::kProtocol, "a malformed answer to a login attempt");
  reply_ = std::move(reply);
  // libssh2 knows nothing of "none" requests: those are sent here.
  return attempt_ == Attempt::kReply ? Verdict::kTaken : Verdict::kPass;
}

seam::Owner::Verdict Transport::Impl::on_success() {
  authenticated_ = true;
  AuthOutcome reply;
  reply.kind = AuthOutcome::Kind::kSuccess;
  reply_ = std::move(reply);
  return attempt_ == Attempt::kReply ? Verdict::kTaken : Verdict::kPass;
}

seam::Owner::Verdict Transport::Impl::on_pk_ok(ByteView payload) {
  WireReader reader(payload.subspan(1));
  reader.text();  // algorithm
  const ByteView blob = reader.string();
  const bool ours = reader.ok() && as_text(blob) == as_text(public_key_);
  if (attempt_ != Attempt::kPublicKey || key_accepted_ || !ours) {
    return reject(Errc::kProtocol, "the server accepted a key that was not offered");
  }
  key_accepted_ = true;
  return Verdict::kPass;
}

seam::Owner::Verdict Transport::Impl::on_banner(ByteView payload) {
  WireReader reader(payload.subspan(1));
  const std::string_view text = reader.text().substr(0, kMaxBannerText - banner_bytes_);
  banner_bytes_ += text.size();
  banner_text_ += text;
  return Verdict::kTaken;
}

void Transport::Impl::on_bad_packet(std::string_view why) {
  note(Errc::kProtocol, fmt::format("the connection is corrupted: {}", why));
}

void Transport::Impl::on_memory_limit() {
  note(Errc::kLimit,
       fmt::format("the server made libssh2 want more than {} KiB", SessionMemory::kLimit / 1024));
}

// --- userauth ----------------------------------------------------------------------------------------------

void Transport::Impl::accept_host_key() {
  if (state_ == State::kHostKey) set_state(State::kUserauth);
}

void Transport::Impl::start_none(const std::string& user) {
  if (state_ != State::kUserauth || attempt_ != Attempt::kNone) return;
  // Not libssh2_userauth_list(): it confuses itself over more than one banner.
  request_ = WireWriter().u8(kUserauthRequest).string(user).string("ssh-connection").string("none").take();
  user_ = user;
  key_accepted_ = false;
  attempt_ = Attempt::kRequest;
}

void Transport::Impl::start_publickey(const std::string& user, ByteView blob) {
  if (state_ != State::kUserauth || attempt_ != Attempt::kNone) return;
  user_ = user;
  public_key_ = to_bytes(blob);
  key_accepted_ = false;
  attempt_ = Attempt::kPublicKey;
  WireReader reader(blob);
  const std::string_view type = reader.text();
  AuthOutcome refused;
  if (!reader.ok() || type.empty()) {
    refused.note = "the public key is malformed";
  } else if (is_rsa(type) &&
             (!server_sign_algorithms_ || agree(kUserauthSignAlgorithms, *server_sign_algorithms_).empty())) {
    // libssh2 would sign with SHA-1 here, or fail and then offer the next key under this one's name.
    refused.note = "the server takes RSA signatures with SHA-1 only";
  }
  if (!refused.note.empty()) end_attempt(std::move(refused));
}

void Transport::Impl::provide_signature(Result<Bytes> signature) {
  if (attempt_ != Attempt::kSign) return;
  signature_ = std::move(signature);
  sign_request_.reset();
  attempt_ = Attempt::kSigned;
}

// Called twice per attempt: to say what is to be signed, and, once provide_signature() was called, for the
// signature.
int Transport::Impl::sign_callback(LIBSSH2_SESSION* session, unsigned char** signature, size_t* size,
                                   const unsigned char* data, size_t data_size, void**) {
  auto* self = static_cast<Impl*>(static_cast<seam::Owner*>(*libssh2_session_abstract(session)));
  if (self->attempt_ == Attempt::kPublicKey) return self->want_signature({data, data_size});
  return self->use_signature(signature, size);
}

int Transport::Impl::want_signature(ByteView data) {
  WireReader reader(data);  // RFC 4252 section 7
  reader.string();          // session id
  reader.u8();
  for (int i = 0; i < 3; ++i) reader.string();  // user, service, method
  reader.boolean();
  sign_algorithm_ = signature_algorithm(reader.text());
  if (!reader.ok() || sign_algorithm_ == "ssh-rsa") {
    AuthOutcome refused;
    refused.note = "the server wants an RSA signature with SHA-1";
    reply_ = std::move(refused);
    return LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED;
  }
  sign_request_ = SignRequest{sign_algorithm_, to_bytes(data)};
  attempt_ = Attempt::kSign;
  return LIBSSH2_ERROR_EAGAIN;
}

int Transport::Impl::use_signature(unsigned char** signature, size_t* size) {
  const auto refuse = [this](std::string note) {
    AuthOutcome refused;
    refused.note = std::move(note);
    reply_ = std::move(refused);
    return LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED;
  };
  if (!signature_) return refuse("there is no signature");
  if (!*signature_) return refuse(signature_->error().message);
  WireReader reader(**signature_);
  const std::string_view algorithm = reader.text();
  const ByteView inner = is_security_key(sign_algorithm_) ? reader.rest() : reader.string();
  if (!reader.at_end() || inner.empty()) return refuse("the signature is malformed");
  if (algorithm != sign_algorithm_) {
    return refuse(fmt::format("the key signed with {} where {} was wanted", printable(algorithm, kQuoted),
                              sign_algorithm_));
  }
  auto* copy = static_cast<unsigned char*>(memory().allocate(inner.size()));
  if (copy == nullptr) return refuse("the signature is too large");
  std::copy(inner.begin(), inner.end(), copy);
  *signature = copy;
  *size = inner.size();
  return 0;
}

// --- sending -----------------------------------------------------------------------------------------------

bool Transport::Impl::send_packet(ByteView head, ByteView body) {
  // From within advance() libssh2 may be half-way through anything.
  if (state_ != State::kConnection || key_exchange_on_ || may_read_) return false;
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
  const Bytes message =
      WireWriter().u8(kDisconnect).u32(kByApplication).string("disconnected by user").string("").take();
  seam::send(session_.get(), message, {});
}

std::string Transport::Impl::describe_algorithms() const {
  if (!agreement_) return {};
  const char* kex = libssh2_session_methods(session_.get(), LIBSSH2_METHOD_KEX);
  std::string text = fmt::format("{}, {}", kex != nullptr ? kex : "?", agreement_->cipher);
  if (!agreement_->mac_out.empty()) text += ", " + agreement_->mac_out;
  return text;
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
  if (eof_ && available() == 0) return closed_error();
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
const Error& Transport::error() const { return impl_->error(); }
ByteQueue& Transport::output() { return impl_->output(); }
const HostKey& Transport::host_key() const { return impl_->host_key(); }
void Transport::accept_host_key() { impl_->accept_host_key(); }
std::string Transport::server_banner() const { return impl_->server_banner(); }
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

}  // namespace jump
