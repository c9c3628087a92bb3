// Transport::Impl, attempts to log in (RFC 4252): one at a time, each up to the server's answer.
#include <fmt/core.h>

#include <algorithm>
#include <span>

#include "base/printable.h"
#include "base/wire.h"
#include "transport/transport_impl.h"

namespace jump {

using namespace message;

namespace {

constexpr std::string_view kCertificateSuffix = "-cert-v01@openssh.com";

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

// What precedes the method's own fields (RFC 4252 section 5).
WireWriter request_head(const std::string& user, std::string_view method) {
  WireWriter head;
  head.u8(kUserauthRequest).string(user).string("ssh-connection").string(method);
  return head;
}

// `head`, then each of `secrets` as a string, in one allocation: growing would leave copies.
Secret secret_message(ByteView head, std::span<const Secret> secrets) {
  std::size_t size = head.size();
  for (const Secret& secret : secrets) size += 4 + secret.view().size();
  Bytes message;
  message.reserve(size);
  message.insert(message.end(), head.begin(), head.end());
  for (const Secret& secret : secrets) {
    std::uint8_t length[4];
    store_u32(length, static_cast<std::uint32_t>(secret.view().size()));
    message.insert(message.end(), std::begin(length), std::end(length));
    message.insert(message.end(), secret.view().begin(), secret.view().end());
  }
  return Secret(std::move(message));
}

}  // namespace

void Transport::Impl::accept_host_key() {
  if (state_ == State::kHostKey) set_state(State::kUserauth);
}

void Transport::Impl::start_none(const std::string& user) {
  if (state_ != State::kUserauth || attempt_ != Attempt::kNone) return;
  // Not libssh2_userauth_list(): it confuses itself over more than one banner.
  begin_request(user, Method::kNone);
  request_ = request_head(user, "none").take();
}

void Transport::Impl::begin_request(const std::string& user, Method method) {
  user_ = user;
  method_ = method;
  key_accepted_ = false;
  question_.reset();
  questions_ = 0;
  attempt_ = Attempt::kRequest;
}

// --- password, keyboard-interactive ------------------------------------------------------------------------

void Transport::Impl::start_password(const std::string& user, Secret password) {
  if (state_ != State::kUserauth || attempt_ != Attempt::kNone) return;
  begin_request(user, Method::kPassword);
  send_answers(secret_message(request_head(user, "password").boolean(false).view(), {&password, 1}));
}

void Transport::Impl::start_keyboard_interactive(const std::string& user) {
  if (state_ != State::kUserauth || attempt_ != Attempt::kNone) return;
  begin_request(user, Method::kKeyboardInteractive);
  request_ = request_head(user, "keyboard-interactive").string("").string("").take();  // language, submethods
}

void Transport::Impl::send_answers(Secret request) {
  if (request.view().size() > kMaxPayload) {
    AuthOutcome refused;
    refused.note = "the answer is too long";
    return end_attempt(std::move(refused));
  }
  request_ = std::move(request);
  attempt_ = Attempt::kRequest;
}

void Transport::Impl::provide_answers(Result<std::vector<Secret>> answers) {
  if (attempt_ != Attempt::kQuestion) return;
  question_.reset();
  if (!answers || answers->size() != prompts_asked_) {
    AuthOutcome refused;
    refused.note = answers ? "the answers do not fit the questions" : answers.error().message;
    return end_attempt(std::move(refused));
  }
  if (question_kind_ == AuthQuestion::Kind::kPasswordChange) {
    return send_answers(secret_message(request_head(user_, "password").boolean(true).view(), *answers));
  }
  WireWriter head;
  head.u8(kUserauthInfoResponse).u32(static_cast<std::uint32_t>(answers->size()));
  send_answers(secret_message(head.view(), *answers));
}

// Message 60 in an attempt of our own.
seam::Owner::Verdict Transport::Impl::on_question(ByteView payload) {
  const WireReader reader(payload.subspan(1));
  switch (method_) {
    case Method::kPassword:
      return on_change_request(reader);
    case Method::kKeyboardInteractive:
      return on_info_request(reader);
    case Method::kNone:
      break;
  }
  return reject(Errc::kProtocol, fmt::format("unexpected login message {}", payload[0]));
}

seam::Owner::Verdict Transport::Impl::on_change_request(WireReader reader) {
  AuthQuestion question;
  question.kind = AuthQuestion::Kind::kPasswordChange;
  question.instruction = reader.text().substr(0, kMaxPromptText);
  if (!reader.ok()) return reject(Errc::kProtocol, "a malformed request to change the password");
  constexpr std::size_t kOldAndNew = 2;
  prompts_asked_ = kOldAndNew;
  return ask(std::move(question));
}

seam::Owner::Verdict Transport::Impl::on_info_request(WireReader reader) {
  AuthQuestion question;
  question.name = reader.text().substr(0, kMaxPromptText);
  question.instruction = reader.text().substr(0, kMaxPromptText);
  reader.string();  // language
  const std::uint32_t count = reader.u32();
  if (reader.ok() && count > kMaxPrompts) {
    return reject(Errc::kLimit, fmt::format("{} prompts at once", count));
  }
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
    AuthQuestion::Prompt prompt;
    prompt.text = reader.text().substr(0, kMaxPromptText);
    prompt.echo = reader.boolean();
    question.prompts.push_back(std::move(prompt));
  }
  if (!reader.ok()) return reject(Errc::kProtocol, "a malformed question");
  prompts_asked_ = question.prompts.size();
  return ask(std::move(question));
}

seam::Owner::Verdict Transport::Impl::ask(AuthQuestion question) {
  if (++questions_ > kMaxQuestions) {
    return reject(Errc::kLimit, fmt::format("more than {} questions in one login attempt", kMaxQuestions));
  }
  request_.clear();
  question_kind_ = question.kind;
  question_ = std::move(question);
  attempt_ = Attempt::kQuestion;
  return Verdict::kTaken;
}

// --- publickey ---------------------------------------------------------------------------------------------

void Transport::Impl::set_rsa_algorithms(std::string_view names) {
  rsa_algorithms_ = names;
  libssh2_session_method_pref(session_.get(), LIBSSH2_METHOD_SIGN_ALGO, rsa_algorithms_.c_str());
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
             (!server_sign_algorithms_ || agree(rsa_algorithms_, *server_sign_algorithms_).empty())) {
    // libssh2 would sign with SHA-1 here, or fail and then offer the next key under this one's name.
    refused.note = rsa_algorithms_ == kUserauthSignAlgorithms
                       ? "the server takes RSA signatures with SHA-1 only"
                       : "the server takes no RSA signatures with " + rsa_algorithms_;
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

// --- the public face ---------------------------------------------------------------------------------------

void Transport::set_rsa_algorithms(std::string_view names) { impl_->set_rsa_algorithms(names); }
void Transport::start_password(const std::string& user, Secret password) {
  impl_->start_password(user, std::move(password));
}
void Transport::start_keyboard_interactive(const std::string& user) {
  impl_->start_keyboard_interactive(user);
}
std::optional<AuthQuestion> Transport::take_question() { return impl_->take_question(); }
void Transport::provide_answers(Result<std::vector<Secret>> answers) {
  impl_->provide_answers(std::move(answers));
}

}  // namespace jump
