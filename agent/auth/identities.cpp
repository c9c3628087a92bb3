#include "auth/identities.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>

#include "auth/fingerprint.h"
#include "base/log.h"
#include "base/printable.h"

namespace jump {
namespace {

constexpr std::string_view kNone = "none";
constexpr std::size_t kAgent = 0;         // index in sources_
constexpr std::size_t kMaxComment = 100;  // shown
constexpr std::size_t kMaxNotes = 5;      // shown, of the agent's keys
constexpr std::string_view kRsaAlgorithms[] = {"rsa-sha2-512", "rsa-sha2-256"};
constexpr std::string_view kDefaultNames[] = {"id_rsa",        "id_ecdsa", "id_ecdsa_sk", "id_ed25519",
                                              "id_ed25519_sk", "id_xmss",  "id_dsa"};
constexpr std::string_view kNotAccepted = "left out by PubkeyAcceptedAlgorithms";

std::string keys(std::size_t count) { return count == 1 ? "1 key" : fmt::format("{} keys", count); }

bool is_certificate(std::string_view type) { return without_certificate(type) != type; }

// As people compare keys: by the plain key's fingerprint, also where it is in a certificate.
std::string shown(ByteView blob) {
  if (!is_certificate(WireReader(blob).text())) return fingerprint(blob);
  Result<Certificate> certificate = parse_certificate(blob);
  return certificate ? certificate->key.fingerprint() + " (certificate)" : fingerprint(blob);
}

}  // namespace

bool is_default_identity(std::string_view path) {
  std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || !path.substr(0, slash).ends_with("/.ssh")) return false;
  return std::find(std::begin(kDefaultNames), std::end(kDefaultNames), path.substr(slash + 1)) !=
         std::end(kDefaultNames);
}

std::string accepted_algorithms(std::string_view key_type, std::string_view accepted) {
  const std::string_view plain = without_certificate(key_type);
  const std::string_view suffix = is_certificate(key_type) ? "-cert-v01@openssh.com" : "";
  std::string out;
  const auto add = [&out](std::string_view name) {
    if (!out.empty()) out += ',';
    out += name;
  };
  if (accepted.empty()) {
    if (plain != "ssh-rsa") return std::string(plain);
    for (std::string_view name : kRsaAlgorithms) add(name);
    return out;
  }
  for (std::size_t at = 0; at < accepted.size();) {
    const std::size_t end = std::min(accepted.find(',', at), accepted.size());
    const std::string_view name = accepted.substr(at, end - at);
    at = end + 1;
    if (plain != "ssh-rsa") {
      if (name == key_type) return std::string(plain);
      continue;
    }
    for (std::string_view rsa : kRsaAlgorithms) {
      if (name == std::string(rsa) + std::string(suffix)) add(rsa);
    }
  }
  return out;
}

// --- reading -----------------------------------------------------------------------------------------------

IdentityFiles IdentityFiles::load(const LoginSpec& spec) {
  IdentityFiles files;
  for (const std::string& path : spec.identity_files) {
    if (path == kNone) continue;
    const std::size_t index = files.keys.size();
    files.keys.push_back(load_key_file(path));
    if (!spec.certificate_files.empty()) continue;
    std::string beside = path + "-cert.pub";
    Result<Certificate> certificate = load_certificate(beside);
    if (!certificate && certificate.error().code == Errc::kNotFound) continue;
    // It tells the public half of a file that does not, so that no passphrase is asked for in vain.
    std::optional<PublicKey>& half = files.keys.back().public_key;
    if (certificate.ok() && !half && files.keys.back().encrypted) half = certificate->key;
    files.certificates.push_back({std::move(beside), std::move(certificate), index});
  }
  for (const std::string& path : spec.certificate_files) {
    if (path != kNone) files.certificates.push_back({path, load_certificate(path), std::nullopt});
  }
  return files;
}

Identities::Identities(Io& io, const LoginSpec& spec, std::function<void()> wake)
    : io_(io), spec_(spec), wake_(std::move(wake)) {}

void Identities::gather() {
  if (spec_.identity_agent.empty() || spec_.identity_agent == kNone) {
    agent_answer_ = std::vector<AgentIdentity>{};
  } else {
    restart_agent();
    agent_->list([this](Result<std::vector<AgentIdentity>> answer) {
      agent_answer_ = std::move(answer);
      wake_();
    });
  }
  loading_ = io_.in_pool([spec = spec_, files = files_] { *files = IdentityFiles::load(spec); },
                         [this] {
                           loaded_ = true;
                           wake_();
                         });
}

void Identities::restart_agent() { agent_ = std::make_unique<AgentClient>(io_, spec_.identity_agent); }

// --- planning ----------------------------------------------------------------------------------------------

void Identities::plan(std::time_t now) {
  assert(is_ready() && !planned_);
  planned_ = true;
  for (const KeyFile& file : files_->keys) sources_.push_back({display_path(file.path), ""});
  for (const auto& file : files_->certificates) sources_.push_back({display_path(file.path), ""});
  file_in_agent_.resize(files_->keys.size());
  if (!agent_answer_->ok()) agent_without_keys_ = agent_answer_->error().message;
  plan_certificates(now);
  plan_agent(now);
  plan_files(now);
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    order_.push_back(i);
    const Candidate& candidate = candidates_[i];
    log::debug("login {}: will try {} ({})", spec_.user,
               candidate.blob.empty() ? candidate.name : fingerprint(candidate.blob),
               candidate.source == kAgent ? "agent" : candidate.name);
  }
}

void Identities::plan_certificates(std::time_t now) {
  for (std::size_t i = 0; i < files_->certificates.size(); ++i) {
    if (!files_->certificates[i].beside) plan_certificate(i, now);
  }
}

void Identities::plan_agent(std::time_t now) {
  if (!agent_answer_->ok()) return;
  const std::vector<AgentIdentity>& identities = **agent_answer_;
  agent_without_keys_ =
      identities.empty() ? "no keys" : fmt::format("{}, none to be used", keys(identities.size()));
  std::vector<Candidate> others;
  for (const AgentIdentity& identity : identities) {
    Result<PublicKey> key = parse_public_key_blob(identity.blob);
    if (!key) continue;  // of a type that we do not know, as ssh does
    bool named = false;
    for (std::size_t i = 0; i < files_->keys.size(); ++i) {
      const std::optional<PublicKey>& half = files_->keys[i].public_key;
      if (!half || half->blob != key->blob) continue;
      named = true;
      file_in_agent_[i] = true;
    }
    for (const auto& file : files_->certificates)
      named = named || (file.certificate && file.certificate->blob == key->blob);
    if (!named && spec_.identities_only) continue;
    std::string problem;
    if (is_certificate(key->type)) {
      Result<Certificate> certificate = parse_certificate(key->blob);
      problem = certificate ? certificate_source_problem(*certificate, now) : certificate.error().message;
    } else if (accepted_algorithms(key->type, spec_.pubkey_accepted_algorithms).empty()) {
      problem = kNotAccepted;
    }
    if (!problem.empty()) {
      agent_notes_.push_back(fmt::format("{} {}", shown(key->blob), problem));
      continue;
    }
    Candidate candidate;
    candidate.blob = candidate.agent_blob = identity.blob;
    candidate.name = printable(identity.comment, kMaxComment);
    candidate.signs_in_agent = true;
    named ? add(std::move(candidate)) : others.push_back(std::move(candidate));
  }
  for (Candidate& candidate : others) add(std::move(candidate));
}

void Identities::plan_files(std::time_t now) {
  for (std::size_t i = 0; i < files_->keys.size(); ++i) {
    if (!file_in_agent_[i]) plan_key(i);
    for (std::size_t j = 0; j < files_->certificates.size(); ++j) {
      if (files_->certificates[j].beside == i) plan_certificate(j, now);
    }
  }
}

void Identities::plan_key(std::size_t index) {
  const KeyFile& file = files_->keys[index];
  const std::size_t source = 1 + index;
  std::string& note = sources_[source].note;
  if (file.problem) {
    note = file.problem->message;
    if (!file.problem->hint.empty()) note += ": " + file.problem->hint;
  } else if (!file.private_key && !file.encrypted) {
    if (file.public_key) note = "only a public key, and the agent does not have it";
    if (!file.public_key && file.missing && !is_default_identity(file.path)) note = "no such file";
  } else if (file.public_key &&
             accepted_algorithms(file.public_key->type, spec_.pubkey_accepted_algorithms).empty()) {
    note = kNotAccepted;
  } else {
    Candidate candidate;
    if (file.public_key) candidate.blob = file.public_key->blob;
    candidate.name = sources_[source].name;
    candidate.file = index;
    candidate.source = source;
    add(std::move(candidate));
  }
}

void Identities::plan_certificate(std::size_t index, std::time_t now) {
  const IdentityFiles::CertificateFile& file = files_->certificates[index];
  const std::size_t source = 1 + files_->keys.size() + index;
  std::string& note = sources_[source].note;
  if (!file.certificate) {
    note =
        file.certificate.error().code == Errc::kNotFound ? "no such file" : file.certificate.error().message;
    return;
  }
  note = certificate_source_problem(*file.certificate, now);
  Candidate candidate;
  candidate.doubt = principal_doubt(*file.certificate, spec_.user);
  const std::string& wrong = note.empty() ? candidate.doubt : note;
  if (weak_certificate_.empty() && !wrong.empty()) weak_certificate_ = sources_[source].name + ": " + wrong;
  if (!note.empty()) return;
  candidate.blob = file.certificate->blob;
  candidate.name = sources_[source].name;
  candidate.source = source;
  if (!choose_signer(*file.certificate, file.beside, &candidate)) {
    note = "its private key is in no IdentityFile, and the agent does not have it";
    return;
  }
  add(std::move(candidate));
}

std::string Identities::certificate_source_problem(const Certificate& certificate, std::time_t now) const {
  std::string problem = certificate_problem(certificate, now);
  if (!problem.empty()) return problem;
  const bool accepted = !accepted_algorithms(certificate.type, spec_.pubkey_accepted_algorithms).empty();
  return accepted ? "" : std::string(kNotAccepted);
}

// The agent first, as it needs no passphrase; the key by itself, or else the same certificate there.
bool Identities::choose_signer(const Certificate& certificate, std::optional<std::size_t> beside,
                               Candidate* candidate) const {
  if (agent_answer_->ok()) {
    for (const Bytes* wanted : {&certificate.key.blob, &certificate.blob}) {
      for (const AgentIdentity& identity : **agent_answer_) {
        if (identity.blob != *wanted) continue;
        candidate->signs_in_agent = true;
        candidate->agent_blob = identity.blob;
        return true;
      }
    }
  }
  for (std::size_t i = 0; i < files_->keys.size(); ++i) {
    const KeyFile& file = files_->keys[i];
    if (!file.private_key && !file.encrypted) continue;
    const bool same = file.public_key ? file.public_key->blob == certificate.key.blob : beside == i;
    if (!same) continue;
    candidate->file = i;
    return true;
  }
  return false;
}

bool Identities::is_candidate(ByteView blob) const {
  return std::any_of(candidates_.begin(), candidates_.end(), [blob](const Candidate& candidate) {
    return std::equal(blob.begin(), blob.end(), candidate.blob.begin(), candidate.blob.end());
  });
}

void Identities::add(Candidate candidate) {
  if (candidate.blob.empty() || !is_candidate(candidate.blob)) candidates_.push_back(std::move(candidate));
}

// --- offering ----------------------------------------------------------------------------------------------

Candidate* Identities::next() {
  for (auto at = order_.begin(); at != order_.end(); ++at) {
    Candidate& candidate = candidates_[*at];
    if (candidate.tried) continue;
    candidate.tried = true;
    std::rotate(at, at + 1, order_.end());
    return &candidate;
  }
  return nullptr;
}

void Identities::rewind() {
  for (Candidate& candidate : candidates_) candidate.tried = candidate.accepted;
}

bool Identities::learn_key(Candidate& candidate, const PublicKey& key) {
  std::string& note = sources_[candidate.source].note;
  if (!candidate.blob.empty()) return true;
  if (accepted_algorithms(key.type, spec_.pubkey_accepted_algorithms).empty()) {
    note = kNotAccepted;
  } else if (is_candidate(key.blob)) {
    note = "the same key as one before";
  } else {
    candidate.blob = key.blob;
    return true;
  }
  return false;
}

void Identities::note(Candidate& candidate, std::string reason) {
  if (candidate.note.empty()) candidate.note = reason;
  if (candidate.source == kAgent) {
    agent_notes_.push_back(shown(candidate.blob) + " " + reason);
  } else if (sources_[candidate.source].note.empty()) {
    sources_[candidate.source].note = std::move(reason);
  }
}

// --- what to say -------------------------------------------------------------------------------------------

std::string Identities::agent_summary() const {
  std::size_t all = 0, tried = 0;
  for (const Candidate& candidate : candidates_) {
    if (candidate.source != kAgent) continue;
    ++all;
    tried += candidate.tried;
  }
  std::string text = agent_without_keys_;
  if (all > 0) text = tried == all ? keys(all) : fmt::format("{} of {}", tried, keys(all));
  std::vector<std::string> notes(
      agent_notes_.begin(),
      agent_notes_.begin() + static_cast<std::ptrdiff_t>(std::min(agent_notes_.size(), kMaxNotes)));
  if (agent_notes_.size() > kMaxNotes) notes.emplace_back("...");
  if (!notes.empty()) text += fmt::format(": {}", fmt::join(notes, ", "));
  return text;
}

std::vector<std::string> Identities::tried() const {
  std::vector<std::string> parts;
  if (!planned_) return parts;
  if (agent_) parts.push_back(fmt::format("agent ({})", agent_summary()));
  for (std::size_t i = 1; i < sources_.size(); ++i) {
    const bool offered = std::any_of(candidates_.begin(), candidates_.end(), [i](const Candidate& candidate) {
      return candidate.source == i && candidate.tried;
    });
    const auto doubtful =
        std::find_if(candidates_.begin(), candidates_.end(), [i](const Candidate& candidate) {
          return candidate.source == i && candidate.tried && !candidate.doubt.empty();
        });
    if (!sources_[i].note.empty()) {
      parts.push_back(fmt::format("{} ({})", sources_[i].name, sources_[i].note));
    } else if (doubtful != candidates_.end()) {
      parts.push_back(fmt::format("{} ({})", sources_[i].name, doubtful->doubt));
    } else if (offered) {
      parts.push_back(sources_[i].name);
    }
  }
  return parts;
}

std::vector<std::string> Identities::offered() const {
  std::vector<std::string> names;
  for (const Candidate& candidate : candidates_) {
    if (!candidate.tried || candidate.blob.empty() || candidate.source != kAgent) continue;
    names.push_back(fmt::format("{} {}", shown(candidate.blob), candidate.name));
  }
  return names;
}

std::vector<LoginTry> Identities::report(const Candidate* last, LoginTry::Outcome end) const {
  std::vector<LoginTry> tries;
  for (const Candidate& candidate : candidates_) {
    if (!candidate.tried) continue;
    LoginTry each;
    each.method = "publickey";
    each.what = candidate.name;
    if (!candidate.blob.empty() && candidate.source == kAgent)
      each.what = fmt::format("{} {} (agent)", shown(candidate.blob), candidate.name);
    if (!candidate.blob.empty() && candidate.source != kAgent)
      each.what = fmt::format("{} {}", candidate.name, shown(candidate.blob));
    if (!candidate.signs_in_agent) each.key_file = files_->keys[candidate.file].path;
    each.note = candidate.note;
    if (candidate.accepted) each.outcome = LoginTry::Outcome::kPartial;
    if (candidate.blob.empty()) each.outcome = LoginTry::Outcome::kUnusable;
    if (&candidate == last) each.outcome = end;
    if (each.outcome == LoginTry::Outcome::kRefused && each.note.empty()) each.note = candidate.doubt;
    tries.push_back(std::move(each));
  }
  return tries;
}

std::size_t Identities::left() const {
  return static_cast<std::size_t>(std::count_if(candidates_.begin(), candidates_.end(),
                                                [](const Candidate& candidate) { return !candidate.tried; }));
}

std::string Identities::hint() const {
  for (std::size_t i = 0; i < file_in_agent_.size(); ++i) {
    const KeyFile& file = files_->keys[i];
    if (file.problem && !file_in_agent_[i] && !file.problem->hint.empty()) return file.problem->hint;
  }
  return "";
}

}  // namespace jump
