// Transport::Impl, what the server says: each packet is judged before libssh2 acts on it.
#include <fmt/core.h>

#include "base/printable.h"
#include "base/wire.h"
#include "transport/transport_impl.h"

namespace jump {

using namespace message;

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
  handler_->on_packets_end();  // it is gone when libssh2 goes on
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
  if (key_exchanges_ > 0) seam::forget_host_key(session_.get());
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
    case kUserauthPkOk:  // what 60 means depends on the method
      return attempt_ == Attempt::kReply ? on_question(payload) : on_pk_ok(payload);
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
  // Nothing that a person could mend, where it worked before.
  note(state_ == State::kConnection ? Errc::kClosed : Errc::kLimit,
       fmt::format("the server made libssh2 want more than {} KiB", SessionMemory::kLimit / 1024));
}

}  // namespace jump
