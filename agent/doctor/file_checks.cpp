#include "doctor/file_checks.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "auth/fingerprint.h"
#include "auth/host_key_record.h"
#include "auth/identities.h"
#include "auth/small_file.h"
#include "base/printable.h"
#include "base/shell_quoted.h"
#include "doctor/advice.h"
#include "hop/hop_plans.h"

namespace jump {
namespace {

constexpr std::size_t kMaxNamedKeys = 5;
constexpr std::size_t kMaxComment = 60;
constexpr std::string_view kPuttyMark = "PuTTY-User-Key-File-";

bool is_directory(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

std::string unreadable_advice(const std::string& path) {
  if (is_directory(path)) return "that is a directory: name the file in it";
  return fmt::format("make it yours and readable: chmod 600 {}, and look at the directories above it",
                     shell_quoted(path));
}

bool is_putty_key(const std::string& path) {
  Result<SmallFile> file = read_small_file(path, kMaxKeyFileBytes);
  return file && file->content.text().starts_with(kPuttyMark);
}

std::string problem_advice(const KeyFile& file) {
  if (!file.problem->hint.empty()) return file.problem->hint;
  const std::string path = shell_quoted(file.path);
  if (is_directory(file.path) || file.problem->code == Errc::kRefused) return unreadable_advice(file.path);
  if (is_putty_key(file.path)) {
    return fmt::format("this is a key of PuTTY: puttygen {} -O private-openssh -o {}", path,
                       shell_quoted(file.path + ".openssh"));
  }
  if (file.problem->code == Errc::kUnsupported)
    return "use a key of type ed25519, ecdsa or rsa (ssh-keygen -t ed25519), or load this one with ssh-add";
  return fmt::format(
      "IdentityFile wants a private key as ssh-keygen writes it; see what it is: ssh-keygen -y -f {}", path);
}

class IdentityChecks {
 public:
  IdentityChecks(const HopSpec& spec, const AgentAnswer& answer, std::time_t now, Findings& findings)
      : files_(IdentityFiles::load(login_spec(spec))),
        answer_(answer),
        batch_mode_(spec.batch_mode),
        user_(spec.user),
        now_(now),
        findings_(findings) {}

  void run() {
    for (std::size_t i = 0; i < files_.keys.size(); ++i) {
      check_key(files_.keys[i]);
      for (const auto& file : files_.certificates) {
        if (file.beside == i) check_certificate(file);
      }
    }
    for (const auto& file : files_.certificates) {
      if (!file.beside) check_certificate(file);
    }
  }

 private:
  void suspect(std::string_view step, std::string detail, std::string advice) {
    findings_.suspect(step, std::move(detail), std::move(advice), {step::kLogin});
  }
  bool agent_has(const Bytes& blob) const {
    return answer_ && std::any_of(answer_->begin(), answer_->end(),
                                  [&blob](const AgentIdentity& key) { return key.blob == blob; });
  }

  void check_key(const KeyFile& file);
  void check_missing(const KeyFile& file, const std::string& name);
  void check_public_half(const KeyFile& file, const std::string& name);
  void check_certificate(const IdentityFiles::CertificateFile& file);
  bool has_key_for(const IdentityFiles::CertificateFile& file) const;

  const IdentityFiles files_;
  const AgentAnswer& answer_;
  const bool batch_mode_;
  const std::string user_;
  const std::time_t now_;
  Findings& findings_;
};

void IdentityChecks::check_missing(const KeyFile& file, const std::string& name) {
  if (file.public_key && agent_has(file.public_key->blob))
    return findings_.ok(step::kIdentity, name + ".pub: ssh-agent has the private key");
  if (file.public_key)
    return suspect(step::kIdentity,
                   name + ": no such file, only its public half, and ssh-agent does not have it",
                   "put the private key there, or load it with ssh-add");
  if (!is_default_identity(file.path))
    suspect(step::kIdentity, name + ": no such file",
            "correct IdentityFile in ssh_config, or make a key there: ssh-keygen -t ed25519 -f " +
                shell_quoted(file.path));
}

// ssh takes the .pub's word for what the private key is.
void IdentityChecks::check_public_half(const KeyFile& file, const std::string& name) {
  if (!file.public_key || (!file.private_key && !file.encrypted)) return;
  Result<SmallFile> own = read_small_file(file.path, kMaxKeyFileBytes);
  std::optional<PublicKey> half;
  if (own) half = public_half_of(own->content.view());
  if (!half && file.private_key) half = file.public_key;
  Result<SmallFile> beside = read_small_file(file.path + ".pub", kMaxKeyFileBytes);
  if (!half || !beside) return;
  Result<PublicKey> said = parse_public_key_file(beside->content.text());
  if (!said || said->blob == half->blob) return;
  const std::string path = shell_quoted(file.path);
  findings_.note(
      step::kIdentity,
      fmt::format("{}.pub belongs to another key ({}) than {} ({}): ssh would offer that one", name,
                  said->fingerprint(), name, half->fingerprint()),
      fmt::format("write it anew: ssh-keygen -y -f {} > {}", path, shell_quoted(file.path + ".pub")));
}

void IdentityChecks::check_key(const KeyFile& file) {
  const std::string name = display_path(file.path);
  if (file.missing && !file.problem) return check_missing(file, name);
  check_public_half(file, name);
  const bool in_agent = file.public_key && agent_has(file.public_key->blob);
  const std::string key =
      file.public_key ? file.public_key->type + " " + file.public_key->fingerprint() : std::string("a key");
  if (file.problem) {
    const std::string what = name + ": " + file.problem->message;
    if (in_agent)
      return findings_.note(step::kIdentity, what + "; ssh-agent has the key", problem_advice(file));
    return suspect(step::kIdentity, what, problem_advice(file));
  }
  if (file.private_key) return findings_.ok(step::kIdentity, name + ": " + key);
  if (in_agent) return findings_.ok(step::kIdentity, name + ": " + key + ", and ssh-agent has it");
  if (!file.encrypted) {
    std::string private_name = file.path.ends_with(".pub") ? file.path.substr(0, file.path.size() - 4) : "";
    return suspect(
        step::kIdentity, name + ": only a public key, and ssh-agent does not have its private half",
        private_name.empty() ? "IdentityFile wants the private key, or ssh-agent has to have it (ssh-add)"
                             : "IdentityFile wants the private key: " + shell_quoted(private_name));
  }
  const std::string load = "load it once with: ssh-add " + shell_quoted(file.path);
  if (batch_mode_)
    return suspect(
        step::kIdentity,
        name + ": " + key + ", encrypted, and BatchMode yes keeps its passphrase from being asked for", load);
  suspect(step::kIdentity, name + ": " + key + ", encrypted: its passphrase has to be asked for",
          load + ", or run this on a terminal");
}

bool IdentityChecks::has_key_for(const IdentityFiles::CertificateFile& file) const {
  const Certificate& certificate = *file.certificate;
  if (agent_has(certificate.key.blob) || agent_has(certificate.blob)) return true;
  for (std::size_t i = 0; i < files_.keys.size(); ++i) {
    const KeyFile& key = files_.keys[i];
    if (!key.private_key && !key.encrypted) continue;
    if (key.public_key ? key.public_key->blob == certificate.key.blob : file.beside == i) return true;
  }
  return false;
}

void IdentityChecks::check_certificate(const IdentityFiles::CertificateFile& file) {
  const std::string name = display_path(file.path);
  const std::string show = "look at it: ssh-keygen -L -f " + shell_quoted(file.path);
  if (!file.certificate) {
    const bool missing = file.certificate.error().code == Errc::kNotFound;
    return suspect(
        step::kCertificate, name + ": " + (missing ? "no such file" : file.certificate.error().message),
        missing ? "correct CertificateFile in ssh_config, or get the certificate from who issues it" : show);
  }
  const Certificate& certificate = *file.certificate;
  if (std::string problem = certificate_problem(certificate, now_); !problem.empty()) {
    return suspect(step::kCertificate, name + ": " + problem,
                   problem.starts_with("expired") ? "get a new certificate from who issued it; " + show
                   : problem.starts_with("not valid before")
                       ? "check this machine's clock (date), or get a new certificate; " + show
                       : show);
  }
  if (std::string doubt = principal_doubt(certificate, user_); !doubt.empty()) {
    return suspect(
        step::kCertificate, name + ": " + doubt,
        fmt::format("ask who issues it for a certificate with the principal {} (or the server has to "
                    "map it: AuthorizedPrincipalsFile); {}",
                    printable(user_, kMaxComment), show));
  }
  if (!has_key_for(file)) {
    return suspect(step::kCertificate,
                   fmt::format("{}: it is for the key {}, which is in no IdentityFile and not in ssh-agent",
                               name, certificate.key.fingerprint()),
                   "name the private key that it was issued for with IdentityFile, or load it with ssh-add");
  }
  findings_.ok(step::kCertificate, fmt::format("{}: for {}, id \"{}\"", name, certificate.key.fingerprint(),
                                               printable(certificate.key_id, kMaxComment)));
}

}  // namespace

void check_known_hosts(const HopSpec& spec, Findings& findings) {
  std::string there;
  bool bad = false;
  for (const std::string& file : spec.known_hosts_files) {
    const KnownHosts known = KnownHosts::load({file});
    for (const std::string& note : known.notes()) {
      bad = true;
      findings.suspect(step::kKnownHosts, note,
                       is_directory(file) ? "name a file with UserKnownHostsFile or GlobalKnownHostsFile"
                                          : "make it readable: chmod u+r " + shell_quoted(file),
                       {step::kHostKey});
    }
    struct stat info {};
    if (known.notes().empty() && file != "/dev/null" && stat(file.c_str(), &info) == 0)
      there += (there.empty() ? "" : ", ") + display_path(file);
  }
  // Where a new key would go. What cannot be read was said.
  if (!bad && spec.user_known_hosts_files > 0 && !spec.known_hosts_files.empty()) {
    const std::string& file = spec.known_hosts_files.front();
    if (const std::string problem = known_hosts_write_problem(file, home_directory()); !problem.empty()) {
      findings.note(step::kKnownHosts,
                    fmt::format("{} cannot take new keys: {}", display_path(file), problem),
                    known_hosts_advice(file));
    }
  }
  if (bad && there.empty()) return;
  findings.ok(step::kKnownHosts, there.empty() ? "no file yet: no host is known" : there);
}

void check_identities(const HopSpec& spec, const AgentAnswer& answer, std::time_t now, Findings& findings) {
  if (!spec.pubkey_authentication)
    return findings.skip(step::kIdentity, "PubkeyAuthentication no: keys are not used");
  IdentityChecks(spec, answer, now, findings).run();
}

std::string describe_agent_keys(const std::vector<AgentIdentity>& keys) {
  std::string text = keys.size() == 1 ? "1 key" : fmt::format("{} keys", keys.size());
  for (std::size_t i = 0; i < std::min(keys.size(), kMaxNamedKeys); ++i) {
    text += fmt::format("{} {} {}", i == 0 ? ":" : ",", fingerprint(keys[i].blob),
                        printable(keys[i].comment, kMaxComment));
  }
  return keys.size() > kMaxNamedKeys ? text + ", ..." : text;
}

std::string ssh_agent_advice(const Error& error, const std::string& socket) {
  const std::string restart =
      "start one (eval \"$(ssh-agent)\"; ssh-add), and then jumpagent where SSH_AUTH_SOCK names it "
      "(jumpagent down; jumpagent up), or name its socket with IdentityAgent in ssh_config";
  struct stat info {};
  if (stat(socket.c_str(), &info) != 0) return "ssh-agent does not run any more, or elsewhere: " + restart;
  if (!S_ISSOCK(info.st_mode)) return "that is no socket: correct SSH_AUTH_SOCK or IdentityAgent";
  if (error.code == Errc::kRefused)
    return "the socket belongs to somebody else, or the agent is locked (ssh-add -X)";
  if (error.code == Errc::kUnreachable)
    return "nobody listens there any more, the socket was left behind: " + restart;
  return "the agent does not answer as one: " + restart;
}

void check_agent(const HopSpec& spec, const AgentAnswer& answer, bool environment_names_one,
                 Findings& findings) {
  if (!spec.pubkey_authentication) return findings.skip(step::kAgent, "PubkeyAuthentication no: not asked");
  if (spec.identity_agent.empty() && environment_names_one)
    return findings.skip(step::kAgent, "IdentityAgent none: no ssh-agent is asked");
  if (spec.identity_agent.empty()) {
    return findings.skip(step::kAgent, "no ssh-agent: SSH_AUTH_SOCK is not set where jumpagent was started",
                         "for one, start jumpagent where it is set, or name the socket with IdentityAgent in "
                         "ssh_config");
  }
  const std::string where = display_path(spec.identity_agent);
  if (!answer) {
    return findings.suspect(step::kAgent, where + ": " + answer.error().message,
                            ssh_agent_advice(answer.error(), spec.identity_agent), {step::kLogin});
  }
  if (answer->empty()) {
    return findings.suspect(step::kAgent, where + ": it has no keys", "load one: ssh-add", {step::kLogin});
  }
  findings.ok(step::kAgent, where + ": " + describe_agent_keys(*answer));
}

}  // namespace jump
