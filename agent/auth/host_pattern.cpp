#include "auth/host_pattern.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>

#include "auth/base64.h"

namespace jump {
namespace {

constexpr std::string_view kHashMagic = "|1|";  // HMAC-SHA1
constexpr std::size_t kMaxPattern = 1023;       // ssh gives up the whole list at a longer one
constexpr std::uint16_t kDefaultPort = 22;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Glob with `*` and `?` only, over all characters. Linear stack-free backtracking: only the last `*` matters.
bool glob_match(std::string_view text, std::string_view pattern) {
  std::size_t t = 0, p = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || lower(pattern[p]) == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// A negated match wins over any other, whatever the order.
bool list_match(std::string_view name, std::string_view list) {
  bool matched = false;
  while (!list.empty()) {
    std::size_t comma = list.find(',');
    std::string_view pattern = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    bool negated = pattern.starts_with('!');
    if (negated) pattern.remove_prefix(1);
    if (pattern.size() > kMaxPattern) return false;
    if (!glob_match(name, pattern)) continue;
    if (negated) return false;
    matched = true;
  }
  return matched;
}

HostMatch hashed_match(std::string_view name, std::string_view column) {
  if (!column.starts_with(kHashMagic)) return HostMatch::kBroken;
  std::string_view rest = column.substr(kHashMagic.size());
  std::size_t bar = rest.find('|');
  if (bar == std::string_view::npos) return HostMatch::kBroken;
  std::optional<Bytes> salt = base64_decode(rest.substr(0, bar));
  if (!salt || salt->size() != SHA_DIGEST_LENGTH) return HostMatch::kBroken;
  std::uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha1(), salt->data(), SHA_DIGEST_LENGTH, as_bytes(name).data(), name.size(), digest, &size);
  // ssh compares the text, so the salt's spelling counts too.
  std::string expected =
      std::string(kHashMagic) + base64_encode(*salt) + "|" + base64_encode(ByteView(digest, size));
  return column == expected ? HostMatch::kYes : HostMatch::kNo;
}

}  // namespace

HostMatch match_host_column(std::string_view name, std::string_view column) {
  if (column.starts_with('|')) return hashed_match(name, column);
  return list_match(name, column) ? HostMatch::kYes : HostMatch::kNo;
}

std::string known_hosts_name(std::string_view host, std::uint16_t port) {
  std::string name(host);
  std::transform(name.begin(), name.end(), name.begin(), lower);
  if (port != 0 && port != kDefaultPort) name = "[" + name + "]:" + std::to_string(port);
  return name;
}

}  // namespace jump
