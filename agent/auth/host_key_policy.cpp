#include "auth/host_key_policy.h"

#include <fmt/core.h>

#include <algorithm>

#include "auth/fingerprint.h"
#include "auth/host_key_error.h"
#include "auth/host_key_record.h"
#include "auth/host_pattern.h"
#include "auth/public_key.h"
#include "base/printable.h"

namespace jump {
namespace {

using Action = HostKeyDecision::Action;

constexpr std::size_t kMaxOtherNames = 8;   // as many as ssh lists
constexpr std::size_t kMaxNameShown = 256;  // of a line's host column, which may be as long as it likes
constexpr std::string_view kOddInNames = "@?*#[]|'\"\\";  // ssh records no host with one of these in it
constexpr std::string_view kNowhere = "/dev/null";
constexpr std::string_view kPrompt = "Are you sure you want to continue connecting (yes/no/[fingerprint])? ";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_but_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

// "~/.ssh/known_hosts:3: web1"
std::string shown_path(const std::string& text, const std::string& home) {
  bool inside = home.size() > 1 && text.starts_with(home + "/");
  return printable(inside ? "~" + text.substr(home.size()) : text, kMaxNameShown);
}

std::string describe_other_names(const std::vector<std::string>& names, const std::string& home) {
  if (names.empty()) return "This key is not known by any other names.";
  std::string text = "This host key is known by the following other names/addresses:";
  for (std::size_t i = 0; i < std::min(names.size(), kMaxOtherNames); ++i)
    text += "\n    " + shown_path(names[i], home);
  if (names.size() > kMaxOtherNames)
    text += fmt::format("\n    ({} additional names omitted)", names.size() - kMaxOtherNames);
  return text;
}

// As ssh calls the key's type: "ED25519".
std::string_view short_type(std::string_view type) {
  if (type == "ssh-ed25519") return "ED25519";
  if (type == "ssh-rsa") return "RSA";
  if (type == "ssh-dss") return "DSA";
  if (type.starts_with("ecdsa-sha2-")) return "ECDSA";
  return type;
}

}  // namespace

HostKeyFiles HostKeyFiles::load(const HostKeySpec& spec) {
  HostKeyFiles files;
  files.known = KnownHosts::load(spec.files);
  if (!spec.revoked_host_keys.empty()) files.revoked = RevokedKeys::load(spec.revoked_host_keys);
  files.home = home_directory();
  if (spec.user_files > 0 && !spec.files.empty())
    files.write_problem = known_hosts_write_problem(spec.files.front(), files.home);
  return files;
}

HostKeyDecision HostKeyPolicy::decide(const HostKey& shown) const {
  const std::string name = record_name();
  Result<PublicKey> parsed = parse_public_key_blob(shown.blob);
  if (!parsed) {
    Error error = parsed.error().context("the host key that " + spec_.host + " shows is not acceptable");
    return {Action::kRefuse, false, {Errc::kHostKey, error.message, ""}};
  }
  const HostKey key{parsed->type, std::move(parsed->blob)};  // equal keys have equal blobs from here on
  if (!files_.revoked) {
    Error error = files_.revoked.error().context("RevokedHostKeys cannot be checked");
    return {Action::kRefuse,
            false,
            {Errc::kHostKey, error.message, "mend the file, or RevokedHostKeys in ssh_config"}};
  }
  if (files_.revoked->contains(key.blob)) {
    return {Action::kRefuse, false, revoked_host_key_error(spec_.host, name, key, spec_.revoked_host_keys)};
  }
  HostKeyVerdict verdict = files_.known.check(spec_.name, spec_.port, key);
  switch (verdict.kind) {
    case HostKeyVerdict::Kind::kKnown:
      return {Action::kAccept, !verdict.without_port && verdict.line && is_user_file(verdict.line->file), {}};
    case HostKeyVerdict::Kind::kUnknown:
      return decide_unknown(key, verdict);
    default:
      return refuse(verdict, key);
  }
}

HostKeyDecision HostKeyPolicy::decide_unknown(const HostKey& key, const HostKeyVerdict& verdict) const {
  HostKeyDecision decision = refuse(verdict, key);
  if (is_read_only()) {
    decision.error.message += spec_.user_files == 0 ? "; there is no UserKnownHostsFile to add it to"
                                                    : "; ssh keeps no keys for a host of such a name";
    decision.error.hint = spec_.user_files == 0 ? "name one in ssh_config (UserKnownHostsFile)"
                                                : "give it another name in ssh_config (HostKeyAlias)";
    return decision;
  }
  // ssh would ask, add nothing, and ask again.
  const std::string& file = spec_.files.front();
  if (!files_.write_problem.empty() || file == kNowhere) {
    decision.error.hint =
        fmt::format("{} {}: {}name another with UserKnownHostsFile in ssh_config, and connect again", file,
                    file == kNowhere ? "keeps no keys" : "cannot take the key (" + files_.write_problem + ")",
                    file == kNowhere ? "" : "mend that, or ");
  }
  switch (spec_.strict) {
    case StrictHostKeyChecking::kYes:
      decision.error.message += "; StrictHostKeyChecking is yes";
      return decision;
    case StrictHostKeyChecking::kAcceptNew:
    case StrictHostKeyChecking::kNo:
      return {Action::kRecord, false, {}};
    case StrictHostKeyChecking::kAsk:
      if (spec_.may_ask) decision.action = Action::kAsk;
      return decision;
  }
  return decision;
}

HostKeyDecision HostKeyPolicy::refuse(const HostKeyVerdict& verdict, const HostKey& key) const {
  HostKeyQuestion question{spec_.host, spec_.name, spec_.port, ask_command(), files_.known.first_file()};
  Error error = host_key_error(question, verdict, key);
  for (const std::string& note : files_.known.notes()) error.message += "; could not read " + note;
  return {Action::kRefuse, false, std::move(error)};
}

// What has the key confirmed: the agent, or, where ssh_config keeps it from asking or it does not know the
// host by a name, ssh. That one must not come back to us by our socket, and must be allowed to ask.
std::string HostKeyPolicy::ask_command() const {
  const bool strict = spec_.strict == StrictHostKeyChecking::kYes;
  const bool mute = spec_.strict == StrictHostKeyChecking::kAsk && !spec_.may_ask;
  if (!spec_.connect_command.empty() && !strict && !mute) return spec_.connect_command;
  std::string command = spec_.ssh_command;
  if (!command.starts_with("ssh")) return command;
  std::string options = " -o ControlPath=none";
  if (strict) options += " -o StrictHostKeyChecking=ask";
  if (!spec_.may_ask) options += " -o BatchMode=no";
  return command.insert(3, options);
}

bool HostKeyPolicy::is_user_file(const std::string& file) const {
  auto end =
      spec_.files.begin() + static_cast<std::ptrdiff_t>(std::min(spec_.user_files, spec_.files.size()));
  // A file that is in both lists is the system's, as with ssh.
  return std::find(spec_.files.begin(), end, file) != end &&
         std::find(end, spec_.files.end(), file) == spec_.files.end();
}

bool HostKeyPolicy::is_read_only() const {
  return spec_.user_files == 0 || spec_.host_name.find_first_of(kOddInNames) != std::string::npos ||
         !is_recordable_name(record_name());
}

std::string HostKeyPolicy::record_name() const { return known_hosts_name(spec_.name, spec_.port); }

Question HostKeyPolicy::question(const HostKey& key, const std::string& address) const {
  const std::string name = record_name();
  HostKeyVerdict verdict = files_.known.check(spec_.name, spec_.port, key);
  Question question;
  question.kind = Question::Kind::kHostKey;
  question.hop = spec_.hop;
  question.title = "unknown host key of " + spec_.host;
  question.text =
      fmt::format("The authenticity of host '{} ({})' can't be established.\n{} key fingerprint is {}.\n{}",
                  name, address.empty() ? "<no hostip for proxy command>" : address,
                  short_type(key.algorithm), fingerprint(key.blob),
                  describe_other_names(files_.known.other_names(spec_.name, spec_.port, key), files_.home));
  if (verdict.authority) {
    question.text += fmt::format(
        "\nIts host certificates cannot be verified (the authority is in {}:{}): this is the plain key.",
        shown_path(verdict.authority->file, files_.home), verdict.authority->line);
  }
  question.prompts.push_back({std::string(kPrompt), true});
  return question;
}

std::optional<bool> host_key_answer(std::string_view typed, const HostKey& key) {
  constexpr std::string_view kBlanks = " \t\r\n";
  typed.remove_prefix(std::min(typed.find_first_not_of(kBlanks), typed.size()));
  typed = typed.substr(0, typed.find_first_of(kBlanks));
  if (typed.empty() || equal_but_case(typed, "no")) return false;
  if (equal_but_case(typed, "yes") || typed == fingerprint(key.blob)) return true;
  return std::nullopt;
}

}  // namespace jump
