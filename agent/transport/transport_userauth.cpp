// Transport::Impl, attempts to log in (RFC 4252): one at a time, each up to the server's answer.
#include <fmt/core.h>

#include <algorithm>

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

}  // namespace

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

}  // namespace jump
