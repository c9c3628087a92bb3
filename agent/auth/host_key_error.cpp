#include "auth/host_key_error.h"

#include <fmt/core.h>

#include "auth/fingerprint.h"
#include "auth/host_pattern.h"
#include "base/shell_quoted.h"

namespace jump {
namespace {

std::string describe_key(const KnownHostsLine& line) {
  return fmt::format("{} {} ({}:{})", line.key_type, line.fingerprint, line.file, line.line);
}

}  // namespace

Error host_key_error(const HostKeyQuestion& question, const HostKeyVerdict& verdict, const HostKey& offered) {
  std::string name = known_hosts_name(question.name, question.port);
  std::string host = question.host == name ? name : fmt::format("{} ({})", question.host, name);
  std::string shown = offered.algorithm + " " + fingerprint(offered.blob);
  std::string file = question.known_hosts_file.empty() ? "known_hosts" : question.known_hosts_file;

  if (verdict.kind == HostKeyVerdict::Kind::kRevoked && verdict.line) {
    return {Errc::kHostKey,
            fmt::format(
                "HOST KEY REVOKED: the key that {} shows is marked as revoked: {}; somebody may be using a "
                "stolen key",
                host, describe_key(*verdict.line)),
            "do not connect; ask the administrator of the host"};
  }
  if (verdict.kind == HostKeyVerdict::Kind::kChanged && verdict.line) {
    const KnownHostsLine& line = *verdict.line;
    bool same_type = line.key_type == offered.algorithm;
    return {Errc::kHostKey,
            fmt::format(
                "HOST KEY CHANGED: {} shows {}, but {} is {}; somebody may be impersonating it, or it was "
                "reinstalled",
                host, shown, same_type ? "known" : "only a key of another type is known for it, which",
                describe_key(line)),
            fmt::format("only if the administrator confirms {}: ssh-keygen -f {} -R {}, then run once: {}",
                        fingerprint(offered.blob), shell_quoted(line.file), shell_quoted(name),
                        question.ssh_command)};
  }
  return {
      Errc::kHostKey, fmt::format("host key of {} is unknown: {}", host, shown),
      fmt::format(
          "compare the fingerprint with the one the administrator gives you, then run once: {} (it adds the key to {})",
          question.ssh_command, file)};
}

}  // namespace jump
