#include "auth/public_key.h"

#include <openssl/obj_mac.h>

#include "auth/base64.h"
#include "auth/fingerprint.h"
#include "auth/openssl_ptr.h"
#include "base/wire.h"

namespace jump {
namespace {

constexpr std::size_t kMinRsaBits = 1024;           // less is refused by every ssh since 7.6
constexpr std::size_t kMaxBignumBytes = 16384 / 8;  // OpenSSH's SSHBUF_MAX_BIGNUM
constexpr std::size_t kEd25519Bytes = 32;
constexpr std::string_view kCertificateSuffix = "-cert-v01@openssh.com";

struct Curve {
  std::string_view type, name;
  int nid;
};
constexpr Curve kCurves[] = {{"ecdsa-sha2-nistp256", "nistp256", NID_X9_62_prime256v1},
                             {"ecdsa-sha2-nistp384", "nistp384", NID_secp384r1},
                             {"ecdsa-sha2-nistp521", "nistp521", NID_secp521r1},
                             {"sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", NID_X9_62_prime256v1}};

Error malformed(std::string_view what) {
  return {Errc::kInvalid, "malformed public key: " + std::string(what), ""};
}

std::size_t bit_length(ByteView magnitude) {
  if (magnitude.empty()) return 0;
  std::size_t bits = magnitude.size() * 8;
  for (std::uint8_t top = magnitude[0]; (top & 0x80) == 0 && bits > 0;
       top = static_cast<std::uint8_t>(top << 1))
    --bits;
  return bits;
}

// The magnitude of an mpint; nullopt when negative or oversized.
std::optional<ByteView> read_magnitude(WireReader& in) {
  ByteView raw = in.string();
  if (!in.ok() || (!raw.empty() && (raw[0] & 0x80) != 0)) return std::nullopt;
  while (!raw.empty() && raw[0] == 0) raw = raw.subspan(1);
  if (raw.size() > kMaxBignumBytes) return std::nullopt;
  return raw;
}

// Copies `count` mpints, canonical, to `out`; *last is the magnitude of the last one.
bool copy_mpints(WireReader& in, int count, WireWriter& out, ByteView* last) {
  for (int i = 0; i < count; ++i) {
    auto magnitude = read_magnitude(in);
    if (!magnitude) return false;
    out.string(mpint_of(*magnitude));
    *last = *magnitude;
  }
  return true;
}

bool is_point_on(int nid, ByteView encoded) {
  if (encoded.empty() || encoded[0] != POINT_CONVERSION_UNCOMPRESSED) return false;
  EcGroup group(EC_GROUP_new_by_curve_name(nid));
  EcPoint point(group ? EC_POINT_new(group.get()) : nullptr);
  return point && EC_POINT_oct2point(group.get(), point.get(), encoded.data(), encoded.size(), nullptr) == 1;
}

const Curve* curve_of(std::string_view type) {
  for (const Curve& curve : kCurves) {
    if (curve.type == type) return &curve;
  }
  return nullptr;
}

bool is_certificate_type(std::string_view type) {
  std::string_view plain = without_certificate(type);
  return plain != type && (plain == "ssh-rsa" || plain == "ssh-dss" || plain == "ssh-ed25519" ||
                           plain == "sk-ssh-ed25519@openssh.com" || curve_of(plain) != nullptr);
}

// The fields after the type name, canonical, to `out`. An error names what is wrong.
Status copy_fields(std::string_view type, WireReader& in, WireWriter& out) {
  ByteView number;
  if (type == "ssh-rsa") {
    if (!copy_mpints(in, 2, out, &number)) return malformed("RSA numbers");
    if (bit_length(number) < kMinRsaBits) return malformed("RSA modulus shorter than 1024 bits");
  } else if (type == "ssh-dss") {
    if (!copy_mpints(in, 4, out, &number)) return malformed("DSA numbers");
  } else if (const Curve* curve = curve_of(type)) {
    std::string_view name = in.text();
    ByteView point = in.string();
    if (!in.ok() || name != curve->name || !is_point_on(curve->nid, point))
      return malformed("no point of its curve");
    out.string(name).string(point);
  } else if (type == "ssh-ed25519" || type == "sk-ssh-ed25519@openssh.com") {
    ByteView key = in.string();
    if (key.size() != kEd25519Bytes) return malformed("Ed25519 key size");
    out.string(key);
  } else {
    return Error{Errc::kUnsupported, "unknown key type " + std::string(type.substr(0, 64)), ""};
  }
  if (type.starts_with("sk-")) {
    ByteView application = in.string();
    if (!in.ok()) return malformed("no application");
    out.string(application);
  }
  return {};
}

std::string_view next_word(std::string_view* text) {
  std::size_t begin = std::min(text->find_first_not_of(" \t"), text->size());
  std::size_t end = std::min(text->find_first_of(" \t", begin), text->size());
  std::string_view word = text->substr(begin, end - begin);
  text->remove_prefix(end);
  return word;
}

std::string_view trim(std::string_view text) {
  std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace

std::string PublicKey::fingerprint() const { return jump::fingerprint(blob); }

Bytes mpint_of(ByteView magnitude) {
  while (!magnitude.empty() && magnitude[0] == 0) magnitude = magnitude.subspan(1);
  Bytes out;
  out.reserve(magnitude.size() + 1);
  if (!magnitude.empty() && (magnitude[0] & 0x80) != 0) out.push_back(0);
  out.insert(out.end(), magnitude.begin(), magnitude.end());
  return out;
}

std::string_view key_type_of_algorithm(std::string_view algorithm) {
  if (algorithm == "rsa-sha2-256" || algorithm == "rsa-sha2-512") return "ssh-rsa";
  return algorithm;
}

std::string_view without_certificate(std::string_view algorithm) {
  if (!algorithm.ends_with(kCertificateSuffix)) return algorithm;
  if (algorithm.starts_with("sk-ssh-ed25519-cert")) return "sk-ssh-ed25519@openssh.com";
  if (algorithm.starts_with("sk-ecdsa-sha2-nistp256-cert")) return "sk-ecdsa-sha2-nistp256@openssh.com";
  return algorithm.substr(0, algorithm.size() - kCertificateSuffix.size());
}

Result<PublicKey> parse_public_key_blob(ByteView blob) {
  WireReader in(blob);
  PublicKey key;
  key.type = std::string(in.text());
  if (!in.ok()) return malformed("no type");
  if (is_certificate_type(key.type)) {
    key.blob = to_bytes(blob);
    return key;
  }
  WireWriter out;
  out.string(key.type);
  if (Status fields = copy_fields(key.type, in, out); !fields) return fields.error();
  if (!in.at_end()) return malformed("bytes left over");
  key.blob = out.take();
  return key;
}

Result<PublicKey> parse_public_key_line(std::string_view line) {
  std::string_view rest = line;
  std::string_view type = key_type_of_algorithm(next_word(&rest));
  std::string_view encoded = next_word(&rest);
  if (type.empty() || encoded.empty()) return malformed("not 'TYPE BASE64'");
  std::optional<Bytes> blob = base64_decode(encoded);
  if (!blob) return malformed("bad base64");
  Result<PublicKey> key = parse_public_key_blob(*blob);
  if (!key) return key;
  if (key->type != type) return malformed("it is of another type than it says");
  key->comment = std::string(trim(rest));
  return key;
}

Result<PublicKey> parse_public_key_file(std::string_view text) {
  while (!text.empty()) {
    std::string_view line = trim(text.substr(0, text.find('\n')));
    if (!line.empty() && line[0] != '#') return parse_public_key_line(line);
    std::size_t end = text.find('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return Error{Errc::kInvalid, "no public key in it", ""};
}

}  // namespace jump
