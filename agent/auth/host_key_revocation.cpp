#include "auth/host_key_revocation.h"

#include <openssl/sha.h>

#include <string_view>

#include "auth/public_key.h"
#include "auth/small_file.h"
#include "base/wire.h"

namespace jump {
namespace {

// Ten thousand RSA keys; a KRL of hashes holds far more.
constexpr std::size_t kMaxFileBytes = 8 * 1024 * 1024;
constexpr std::string_view kKrlMagic("SSHKRL\n\0", 8);
constexpr std::uint32_t kKrlVersion = 1;

enum Section : std::uint8_t {
  kCertificates = 1,
  kExplicitKeys = 2,
  kSha1 = 3,
  kSignature = 4,
  kSha256 = 5,
  kExtension = 255,
};

Error broken(std::string_view what) {
  return {Errc::kInvalid, "broken key revocation list: " + std::string(what), ""};
}

Status add_strings(ByteView data, std::size_t size, std::set<Bytes>* out) {
  for (WireReader in(data); in.left() > 0;) {
    ByteView each = in.string();
    if (!in.ok() || (size != 0 && each.size() != size)) return broken("a key of the wrong size");
    out->insert(to_bytes(each));
  }
  return {};
}

}  // namespace

Result<RevokedKeys> RevokedKeys::load(const std::string& file) {
  Result<SmallFile> read = read_small_file(file, kMaxFileBytes);
  if (!read) return read.error().context(file);
  Result<RevokedKeys> keys = parse(read->content.view());
  if (!keys) return keys.error().context(file);
  return keys;
}

Result<RevokedKeys> RevokedKeys::parse(ByteView content) {
  RevokedKeys keys;
  Status status =
      as_text(content).starts_with(kKrlMagic) ? keys.add_krl(content) : keys.add_list(as_text(content));
  if (!status) return status.error();
  return keys;
}

// ssh ignores lines that are empty or comments, and RSA keys that are too short to be used anyway.
Status RevokedKeys::add_list(std::string_view text) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    std::size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos || line[begin] == '#') continue;
    std::string where = "line " + std::to_string(number);
    Result<PublicKey> key = parse_public_key_line(line);
    if (!key) return key.error().context(where);
    if (without_certificate(key->type) != key->type)
      return Error{Errc::kUnsupported, where + ": a certificate; list its plain key", ""};
    blobs_.insert(std::move(key->blob));
  }
  return {};
}

Status RevokedKeys::add_krl(ByteView content) {
  WireReader in(content.subspan(kKrlMagic.size()));
  if (in.u32() != kKrlVersion) return broken("unknown version");
  in.u64();  // the list's own number
  in.u64();  // when it was made
  in.u64();  // flags
  in.string();
  in.string();  // comment
  if (!in.ok()) return broken("cut short");
  while (in.left() > 0) {
    std::uint8_t type = in.u8();
    ByteView data = in.string();
    if (!in.ok()) return broken("cut short");
    if (Status added = add_section(type, data); !added) return added;
  }
  return {};
}

Status RevokedKeys::add_section(std::uint8_t type, ByteView data) {
  switch (type) {
    case kCertificates:
      return {};  // by serial number or key id: they say nothing about plain keys
    case kExplicitKeys:
      return add_strings(data, 0, &blobs_);
    case kSha1:
      return add_strings(data, SHA_DIGEST_LENGTH, &digests_);
    case kSha256:
      return add_strings(data, SHA256_DIGEST_LENGTH, &digests_);
    case kExtension: {
      WireReader in(data);
      in.string();
      bool critical = in.boolean();
      in.string();
      if (!in.at_end()) return broken("bad extension");
      if (!critical) return {};
      break;
    }
    default:
      break;
  }
  return Error{Errc::kUnsupported,
               "the key revocation list has a part of unknown kind " + std::to_string(type), ""};
}

bool RevokedKeys::contains(ByteView blob) const {
  Bytes sha1(SHA_DIGEST_LENGTH), sha256(SHA256_DIGEST_LENGTH);
  SHA1(blob.data(), blob.size(), sha1.data());
  SHA256(blob.data(), blob.size(), sha256.data());
  return blobs_.contains(to_bytes(blob)) || digests_.contains(sha1) || digests_.contains(sha256);
}

}  // namespace jump
