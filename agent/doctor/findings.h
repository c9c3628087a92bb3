// Findings: the steps of one hop (or of the agent itself), in the order in which they were looked at.
//
// Some findings are bad only together with others: an unreadable key is no matter where another one lets us
// in. Such a suspect is a note until a step that it may explain has failed too; then it is a failure itself.
// A value: pool threads fill one of their own.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/messages.h"

namespace jump {

// The steps by their names in the protocol, from here to the open channel.
namespace step {
inline constexpr std::string_view kConfig = "config";            // ssh_config and what it comes to
inline constexpr std::string_view kKnownHosts = "known_hosts";   // the files
inline constexpr std::string_view kAgent = "agent";              // ssh-agent
inline constexpr std::string_view kIdentity = "identity";        // an IdentityFile
inline constexpr std::string_view kCertificate = "certificate";  // a CertificateFile, or one beside a key
inline constexpr std::string_view kDns = "dns";
inline constexpr std::string_view kProxyCommand = "proxy_command";
inline constexpr std::string_view kConnect = "connect";  // TCP, from here or from the jump host
inline constexpr std::string_view kBanner = "banner";
inline constexpr std::string_view kKex = "kex";
inline constexpr std::string_view kHostKey = "host_key";
// A step for each try of a method bears the method's name: "publickey", "password", …
inline constexpr std::string_view kLogin = "login";
inline constexpr std::string_view kForwarding = "forwarding";
inline constexpr std::string_view kTime = "time";  // all of it took too long
}  // namespace step

class Findings {
 public:
  explicit Findings(std::string hop) : hop_(std::move(hop)) {}

  void ok(std::string_view step, std::string detail);
  void note(std::string_view step, std::string detail, std::string advice = {});
  void skip(std::string_view step, std::string detail, std::string advice = {});
  void fail(std::string_view step, std::string detail, std::string advice = {});
  // May explain why one of the steps `explains` fails.
  void suspect(std::string_view step, std::string detail, std::string advice,
               std::vector<std::string_view> explains);
  // Behind what is there.
  void append(Findings more);

  bool failed() const;
  // With the suspects judged.
  std::vector<proto::DiagnosisStep> steps() const;

 private:
  struct Found {
    proto::DiagnosisStep step;
    std::vector<std::string_view> explains;
  };
  void add(std::string_view step, const char* outcome, std::string detail, std::string advice);
  bool has_failed(std::string_view step) const;

  std::string hop_;
  std::vector<Found> found_;
};

}  // namespace jump
