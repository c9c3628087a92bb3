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

std::string describe_host(const std::string& host, const std::string& name) {
  return host == name ? name : fmt::format("{} ({})", host, name);
}

// One command per file: ssh-keygen takes one.
std::string remove_commands(const HostKeyVerdict& verdict, const std::string& name) {
  std::vector<std::string> files = verdict.files;
  if (files.empty()) files.push_back(verdict.line->file);
  std::string commands;
  for (const std::string& file : files) {
    if (!commands.empty()) commands += " && ";
    commands += fmt::format("ssh-keygen -f {} -R {}", shell_quoted(file), shell_quoted(name));
  }
  return commands;
}

}  // namespace

Error revoked_host_key_error(const std::string& host, const std::string& name, const HostKey& offered,
                             const std::string& file) {
  return {Errc::kHostKey,
          fmt::format("HOST KEY REVOKED: the key that {} shows, {} {}, is in the RevokedHostKeys file {}; "
                      "somebody may be using a stolen key",
                      describe_host(host, name), offered.algorithm, fingerprint(offered.blob), file),
          "do not connect; ask the administrator of the host"};
}

Error host_key_error(const HostKeyQuestion& question, const HostKeyVerdict& verdict, const HostKey& offered) {
  std::string name = known_hosts_name(question.name, question.port);
  std::string host = describe_host(question.host, name);
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
            fmt::format("only if the administrator confirms {}: {}, then run once: {}",
                        fingerprint(offered.blob), remove_commands(verdict, name), question.ask_command)};
  }
  std::string message = fmt::format("host key of {} is unknown: {}", host, shown);
  if (verdict.authority) {
    message += fmt::format("; {}:{} names an authority for it, but host certificates cannot be verified yet",
                           verdict.authority->file, verdict.authority->line);
  }
  return {Errc::kHostKey, std::move(message),
          fmt::format("compare the fingerprint with the one the administrator gives you, then run once, on a "
                      "terminal: {} (it adds the key to {})",
                      question.ask_command, file)};
}

}  // namespace jump
