#include "auth/agent_protocol.h"

#include "auth/public_key.h"
#include "base/wire.h"

namespace jump {
namespace {

constexpr std::uint8_t kFailure = 5;
constexpr std::uint8_t kRequestIdentities = 11;
constexpr std::uint8_t kIdentitiesAnswer = 12;
constexpr std::uint8_t kSignRequest = 13;
constexpr std::uint8_t kSignResponse = 14;
constexpr std::uint8_t kExtensionFailure = 28;
constexpr std::uint8_t kOldFailures[] = {30, 102};  // of ssh.com's agents

constexpr std::uint32_t kFlagRsaSha256 = 2;
constexpr std::uint32_t kFlagRsaSha512 = 4;

constexpr std::size_t kLengthBytes = 4;
constexpr std::uint32_t kMaxIdentities = 2048;  // OpenSSH's MAX_AGENT_IDENTITIES

Error malformed() { return {Errc::kProtocol, "the agent sent a malformed message", ""}; }

// Reads the type and makes an error of anything but `expected`.
Status expect(WireReader& in, std::uint8_t expected) {
  std::uint8_t type = in.u8();
  if (!in.ok()) return malformed();
  if (type == expected) return {};
  if (type == kFailure || type == kExtensionFailure || type == kOldFailures[0] || type == kOldFailures[1]) {
    return Error{Errc::kRefused, "the agent refused", ""};
  }
  return Error{Errc::kProtocol, "the agent sent an unexpected message of type " + std::to_string(type), ""};
}

Bytes framed(const WireWriter& message) { return WireWriter().string(message.view()).take(); }

std::uint32_t sign_flags(std::string_view algorithm) {
  std::string_view plain = without_certificate(algorithm);
  if (plain == "rsa-sha2-256") return kFlagRsaSha256;
  if (plain == "rsa-sha2-512") return kFlagRsaSha512;
  return 0;
}

}  // namespace

Bytes encode_list_request() {
  WireWriter message;
  message.u8(kRequestIdentities);
  return framed(message);
}

Bytes encode_sign_request(ByteView key_blob, std::string_view algorithm, ByteView data) {
  WireWriter message;
  message.u8(kSignRequest).string(key_blob).string(data).u32(sign_flags(algorithm));
  return framed(message);
}

Result<std::vector<AgentIdentity>> decode_identities(ByteView message) {
  WireReader in(message);
  if (Status type = expect(in, kIdentitiesAnswer); !type) return type.error();
  std::uint32_t count = in.u32();
  if (!in.ok() || count > kMaxIdentities) return malformed();
  std::vector<AgentIdentity> identities;
  for (std::uint32_t i = 0; i < count; ++i) {
    ByteView blob = in.string();
    std::string_view comment = in.text();
    if (!in.ok()) return malformed();
    identities.push_back({to_bytes(blob), std::string(comment)});
  }
  return identities;
}

Result<Bytes> decode_signature(ByteView message, std::string_view algorithm) {
  WireReader in(message);
  if (Status type = expect(in, kSignResponse); !type) return type.error();
  ByteView signature = in.string();
  if (!in.at_end()) return malformed();
  WireReader inside(signature);
  std::string_view made_with = inside.text();
  inside.string();
  if (!inside.ok()) return malformed();
  if (made_with != without_certificate(algorithm)) {
    return Error{Errc::kUnsupported,
                 "the agent signed with " + std::string(made_with.substr(0, 64)) + " although " +
                     std::string(algorithm) + " was asked for",
                 "use a newer agent, or a key of another type"};
  }
  return to_bytes(signature);
}

Status AgentFramer::check_length() const {
  if (buffer_.size() < kLengthBytes) return {};
  std::uint32_t length = load_u32(buffer_.data());
  if (length == 0 || length > kMaxMessage) return malformed();
  return {};
}

Status AgentFramer::feed(ByteView data) {
  if (Status before = check_length(); !before) return before;
  buffer_.insert(buffer_.end(), data.begin(), data.end());
  return check_length();
}

std::optional<Bytes> AgentFramer::next() {
  if (buffer_.size() < kLengthBytes || !check_length()) return std::nullopt;
  std::size_t total = kLengthBytes + load_u32(buffer_.data());
  if (buffer_.size() < total) return std::nullopt;
  auto end = buffer_.begin() + static_cast<std::ptrdiff_t>(total);
  Bytes message(buffer_.begin() + kLengthBytes, end);
  buffer_.erase(buffer_.begin(), end);
  return message;
}

}  // namespace jump
