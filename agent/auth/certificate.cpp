#include "auth/certificate.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "auth/key_file.h"
#include "auth/small_file.h"
#include "base/printable.h"
#include "base/wire.h"

namespace jump {
namespace {

constexpr std::size_t kMaxPrincipals = 5;  // named
constexpr std::size_t kMaxPrincipal = 64;  // of each

Error malformed(std::string_view what) {
  return {Errc::kInvalid, "malformed certificate: " + std::string(what), ""};
}

// How many strings make up a key of that type, after the type's name.
int field_count(std::string_view type) {
  if (type == "ssh-ed25519") return 1;
  if (type == "ssh-rsa" || type.starts_with("ecdsa-sha2-") || type == "sk-ssh-ed25519@openssh.com") return 2;
  if (type == "sk-ecdsa-sha2-nistp256@openssh.com") return 3;
  if (type == "ssh-dss") return 4;
  return 0;
}

std::string utc(std::uint64_t moment) {
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max()) * 64;
  if (moment > kMax) return "in the far future";
  const auto seconds = static_cast<std::time_t>(moment);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min);
}

}  // namespace

Result<Certificate> parse_certificate(ByteView blob) {
  WireReader in(blob);
  Certificate certificate;
  certificate.blob = to_bytes(blob);
  certificate.type = in.text();
  const std::string_view plain = without_certificate(certificate.type);
  const int fields = field_count(plain);
  if (!in.ok() || plain == certificate.type) return malformed("its type is of something else");
  if (fields == 0) return Error{Errc::kUnsupported, "unknown certificate type", ""};
  in.string();  // nonce
  WireWriter key;
  key.string(plain);
  for (int i = 0; i < fields; ++i) key.string(in.string());
  in.u64();  // serial
  const std::uint32_t kind = in.u32();
  certificate.key_id = in.text();
  WireReader principals(in.string());
  while (principals.ok() && !principals.at_end()) certificate.principals.emplace_back(principals.text());
  if (!principals.ok()) return malformed("its list of principals");
  certificate.valid_after = in.u64();
  certificate.valid_before = in.u64();
  for (int i = 0; i < 5; ++i) in.string();  // critical options, extensions, reserved, issuer's key, signature
  if (!in.at_end()) return malformed("cut short, or too long");
  if (kind != 1 && kind != 2) return malformed("neither a user's nor a host's");
  certificate.kind = static_cast<Certificate::Kind>(kind);
  Result<PublicKey> parsed = parse_public_key_blob(key.view());
  if (!parsed) return parsed.error();
  certificate.key = std::move(parsed).value();
  return certificate;
}

std::string certificate_problem(const Certificate& certificate, std::time_t now) {
  const auto moment = static_cast<std::uint64_t>(now);
  if (certificate.kind != Certificate::Kind::kUser) return "a host's certificate, not a user's";
  if (moment >= certificate.valid_before) return "expired " + utc(certificate.valid_before);
  if (moment < certificate.valid_after) return "not valid before " + utc(certificate.valid_after);
  return "";
}

std::string principal_doubt(const Certificate& certificate, const std::string& user) {
  const std::vector<std::string>& names = certificate.principals;
  if (std::find(names.begin(), names.end(), user) != names.end()) return "";
  std::string who;
  for (std::size_t i = 0; i < std::min(names.size(), kMaxPrincipals); ++i)
    who += (i == 0 ? "" : ", ") + printable(names[i], kMaxPrincipal);
  if (names.size() > kMaxPrincipals) who += ", ...";
  return fmt::format("it is for {}, not for {}", who.empty() ? "no user at all" : who,
                     printable(user, kMaxPrincipal));
}

Result<Certificate> load_certificate(const std::string& path) {
  Result<SmallFile> read = read_small_file(path, kMaxKeyFileBytes);
  if (!read && read.error().code == Errc::kNotFound) return read.error();
  if (!read) return Error{read.error().code, "unreadable: " + read.error().message, ""};
  Result<PublicKey> key = parse_public_key_file(read->content.text());
  if (!key) return key.error();
  return parse_certificate(key->blob);
}

}  // namespace jump
