#include "transport/algorithms.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace jump {

namespace {

constexpr char kAes[] =
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,"
    "aes128-ctr,aes192-ctr,aes256-ctr";
constexpr char kNoAes[] =
    "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,"
    "aes128-ctr,aes192-ctr,aes256-ctr";

}  // namespace

Algorithms default_algorithms(bool cpu_has_aes_instructions) {
  // libssh2 leaks 2 KB in each ecdh-sha2-nistp exchange; still better than the seconds of the big groups
  // below.
  return Algorithms{
      .kex =
          "curve25519-sha256,curve25519-sha256@libssh.org,"
          "ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,"
          "diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,"
          "diffie-hellman-group18-sha512,diffie-hellman-group14-sha256",
      .host_key =
          "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,"
          "rsa-sha2-512,rsa-sha2-256",
      .cipher = cpu_has_aes_instructions ? kAes : kNoAes,
      .mac = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512",
  };
}

bool cpu_has_aes() {
#if defined(__x86_64__) || defined(__i386__)
  return __builtin_cpu_supports("aes") != 0;
#elif defined(__aarch64__) && defined(__linux__)
  constexpr unsigned long kHwcapAes = 1UL << 3;  // HWCAP_AES of <asm/hwcap.h>
  return (getauxval(AT_HWCAP) & kHwcapAes) != 0;
#elif defined(__aarch64__) && defined(__APPLE__)
  return true;
#else
  return false;
#endif
}

bool authenticates(std::string_view cipher) {
  return cipher == "chacha20-poly1305@openssh.com" || cipher.ends_with("-gcm@openssh.com");
}

std::vector<std::string_view> split_names(std::string_view list) {
  std::vector<std::string_view> names;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (comma > 0) names.push_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return names;
}

bool contains_name(std::string_view list, std::string_view name) {
  const std::vector<std::string_view> names = split_names(list);
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string_view agree(std::string_view ours, std::string_view theirs) {
  const std::vector<std::string_view> offered = split_names(theirs);
  for (std::string_view name : split_names(ours)) {
    if (std::find(offered.begin(), offered.end(), name) != offered.end()) return name;
  }
  return {};
}

Result<std::string> offer(std::string_view kind, std::string_view wanted,
                          const std::vector<std::string>& supported) {
  std::string offered;
  for (std::string_view name : split_names(wanted)) {
    if (std::find(supported.begin(), supported.end(), name) == supported.end()) continue;
    if (!offered.empty()) offered += ',';
    offered += name;
  }
  if (!offered.empty()) return offered;
  return Error{Errc::kUnsupported, fmt::format("none of the {}s \"{}\" is supported", kind, wanted),
               fmt::format("supported are: {}", fmt::join(supported, ", "))};
}

}  // namespace jump
