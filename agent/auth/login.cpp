#include "auth/login.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>

#include "auth/fingerprint.h"
#include "base/log.h"

namespace jump {
namespace {

constexpr std::string_view kNone = "none";
constexpr std::string_view kPublickey = "publickey";
constexpr std::string_view kDefaultNames[] = {"id_rsa",        "id_ecdsa", "id_ecdsa_sk", "id_ed25519",
                                              "id_ed25519_sk", "id_xmss",  "id_dsa"};

// ssh names these by itself; that they are missing is no news.
bool is_default_file(std::string_view path) {
  std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || !path.substr(0, slash).ends_with("/.ssh")) return false;
  return std::find(std::begin(kDefaultNames), std::end(kDefaultNames), path.substr(slash + 1)) !=
         std::end(kDefaultNames);
}

std::string keys(std::size_t count) { return count == 1 ? "1 key" : fmt::format("{} keys", count); }

}  // namespace

Login::Login(Io& io, Userauth& userauth, LoginSpec spec, std::function<void()> wake)
    : io_(io),
      userauth_(userauth),
      spec_(std::move(spec)),
      wake_(std::move(wake)),
      files_(std::make_shared<std::vector<KeyFile>>()) {}

Login::~Login() = default;

void Login::start() {
  assert(state_ == State::kNew);
  set_state(State::kNone);
  userauth_.start_none(spec_.user);
  gather();
}

bool Login::advance() {
  const State before = state_;
  const std::size_t next = next_;
  while (step()) {
  }
  return state_ != before || next_ != next;
}

bool Login::step() {
  switch (state_) {
    case State::kNone:
      return on_none_answer();
    case State::kGathering:
      if (!agent_answer_ || !files_loaded_) return false;
      plan();
      set_state(State::kChoosing);
      return true;
    case State::kChoosing:
      return begin_next();
    case State::kAttempt:
      return on_attempt_progress();
    case State::kSigning:
      return on_signing_progress();
    case State::kNew:
    case State::kDone:
      return false;
  }
  return false;
}

void Login::set_state(State state) {
  static constexpr const char* kNames[] = {"new",     "none",    "gathering", "choosing",
                                           "attempt", "signing", "done"};
  log::trace("login {}: {} -> {}", spec_.user, kNames[static_cast<int>(state_)],
             kNames[static_cast<int>(state)]);
  assert(state_ != State::kDone);
  assert(state != State::kSigning || state_ == State::kAttempt);
  assert(state != State::kAttempt || state_ == State::kChoosing || state_ == State::kSigning);
  state_ = state;
}

// --- what there is to try
// ---------------------------------------------------------------------------------------

void Login::gather() {
  if (spec_.identity_agent.empty() || spec_.identity_agent == kNone) {
    agent_answer_ = std::vector<AgentIdentity>{};
  } else {
    agent_ = std::make_unique<AgentClient>(io_, spec_.identity_agent);
    agent_->list([this](Result<std::vector<AgentIdentity>> answer) {
      agent_answer_ = std::move(answer);
      wake_();
    });
  }
  auto load = [paths = spec_.identity_files, files = files_] {
    for (const std::string& path : paths) {
      if (path != kNone) files->push_back(load_key_file(path));
    }
  };
  loading_ = io_.in_pool(std::move(load), [this] {
    files_loaded_ = true;
    wake_();
  });
}

void Login::plan() {
  file_notes_.resize(files_->size());
  file_in_agent_.resize(files_->size());
  if (!agent_answer_->ok()) {
    agent_without_keys_ = agent_answer_->error().message;
  } else {
    plan_agent_keys(**agent_answer_);
    std::size_t count = (*agent_answer_)->size();
    agent_without_keys_ = count == 0 ? "no keys" : fmt::format("{}, none to be used", keys(count));
  }
  plan_files();
  for (const Candidate& candidate : candidates_) {
    log::debug("login {}: will try {} ({})", spec_.user, fingerprint(candidate.blob),
               candidate.in_agent ? "agent" : "file");
  }
}

void Login::plan_agent_keys(const std::vector<AgentIdentity>& identities) {
  std::vector<Candidate> others;
  for (const AgentIdentity& identity : identities) {
    Result<PublicKey> key = parse_public_key_blob(identity.blob);
    if (!key) continue;  // of a type that we do not know, as ssh does
    bool named = false;
    for (std::size_t i = 0; i < files_->size(); ++i) {
      const std::optional<PublicKey>& half = (*files_)[i].public_key;
      if (!half || half->blob != key->blob) continue;
      named = true;
      file_in_agent_[i] = true;
    }
    Candidate candidate{identity.blob, true, 0};
    if (named) {
      candidates_.push_back(std::move(candidate));
    } else if (!spec_.identities_only) {
      others.push_back(std::move(candidate));
    }
  }
  std::move(others.begin(), others.end(), std::back_inserter(candidates_));
}

void Login::plan_files() {
  for (std::size_t i = 0; i < files_->size(); ++i) {
    const KeyFile& file = (*files_)[i];
    if (file_in_agent_[i]) continue;
    if (file.private_key) {
      const Bytes& blob = file.private_key->public_key().blob;
      bool twice = std::any_of(candidates_.begin(), candidates_.end(),
                               [&](const Candidate& candidate) { return candidate.blob == blob; });
      if (!twice) candidates_.push_back({blob, false, i});
    } else if (file.problem) {
      file_notes_[i] = file.problem->message;
    } else if (file.public_key) {
      file_notes_[i] = "only a public key, and the agent does not have it";
    } else if (file.missing && !is_default_file(file.path)) {
      file_notes_[i] = "no such file";
    }
  }
}

// --- attempts
// ---------------------------------------------------------------------------------------------------

bool Login::on_none_answer() {
  std::optional<AuthOutcome> answer = userauth_.take_outcome();
  if (!answer) return false;
  if (answer->kind == AuthOutcome::Kind::kSuccess) {
    outcome_ = Status();
    set_state(State::kDone);
    return false;
  }
  learn_methods(*answer);
  log::debug("login {}: the server accepts {}", spec_.user, fmt::join(methods_, ","));
  if (!accepts(kPublickey)) {
    fail();
    return false;
  }
  set_state(State::kGathering);
  return true;
}

bool Login::begin_next() {
  if (!accepts(kPublickey) || next_ == candidates_.size()) {
    fail();
    return false;
  }
  const Candidate& candidate = candidates_[next_++];
  log::debug("login {}: offering {}", spec_.user, fingerprint(candidate.blob));
  signature_error_.clear();
  set_state(State::kAttempt);
  userauth_.start_publickey(spec_.user, candidate.blob);
  return true;
}

bool Login::on_attempt_progress() {
  if (std::optional<SignRequest> request = userauth_.take_sign_request()) {
    set_state(State::kSigning);
    begin_signature(std::move(*request));
    return false;
  }
  std::optional<AuthOutcome> answer = userauth_.take_outcome();
  if (!answer) return false;
  on_answer(*answer);
  return true;
}

void Login::begin_signature(SignRequest request) {
  const Candidate& candidate = current();
  log::debug("login {}: signing with {} ({})", spec_.user, fingerprint(candidate.blob), request.algorithm);
  signature_.reset();
  if (candidate.in_agent) {
    agent_->sign(candidate.blob, request.algorithm, request.data,
                 [this](Result<Bytes> signature) { on_signature(std::move(signature)); });
    return;
  }
  auto result = std::make_shared<std::optional<Result<Bytes>>>();
  auto work = [files = files_, index = candidate.file, request = std::move(request), result] {
    *result = (*files)[index].private_key->sign(request.algorithm, request.data);
  };
  signing_ = io_.in_pool(std::move(work), [this, result] { on_signature(std::move(**result)); });
}

void Login::on_signature(Result<Bytes> signature) {
  signature_ = std::move(signature);
  wake_();
}

bool Login::on_signing_progress() {
  // The attempt may end without its signature: the owner of the transport has limits of its own.
  if (std::optional<AuthOutcome> answer = userauth_.take_outcome()) {
    abandon_signature();
    on_answer(*answer);
    return true;
  }
  if (!signature_) return false;
  Result<Bytes> signature = std::move(*signature_);
  signature_.reset();
  if (!signature) signature_error_ = "no signature: " + signature.error().message;
  set_state(State::kAttempt);
  userauth_.provide_signature(std::move(signature));
  return true;
}

void Login::abandon_signature() {
  signing_.reset();
  signature_.reset();
  // The agent would answer the next request only after this one.
  if (current().in_agent) agent_ = std::make_unique<AgentClient>(io_, spec_.identity_agent);
}

void Login::on_answer(const AuthOutcome& answer) {
  if (answer.kind == AuthOutcome::Kind::kSuccess) {
    outcome_ = Status();
    set_state(State::kDone);
    return;
  }
  if (answer.kind == AuthOutcome::Kind::kPartial) {
    partial_ = true;
    note(current(), "accepted, and more is wanted");
  } else if (!signature_error_.empty() || !answer.note.empty()) {
    note(current(), signature_error_.empty() ? answer.note : signature_error_);
  } else if (answer.key_was_accepted) {
    note(current(), "accepted, but its signature was refused");
  }
  learn_methods(answer);
  set_state(State::kChoosing);
}

// An attempt that failed on our side brings no list: what the server said before still holds.
void Login::learn_methods(const AuthOutcome& answer) {
  if (!answer.can_continue.empty()) methods_ = answer.can_continue;
}

bool Login::accepts(std::string_view method) const {
  return std::find(methods_.begin(), methods_.end(), method) != methods_.end();
}

// --- what to say
// ------------------------------------------------------------------------------------------------

void Login::note(const Candidate& candidate, std::string reason) {
  if (candidate.in_agent) {
    agent_notes_.push_back(fingerprint(candidate.blob) + " " + reason);
  } else if (file_notes_[candidate.file].empty()) {  // the first reason is the one that led to the others
    file_notes_[candidate.file] = std::move(reason);
  }
}

void Login::fail() {
  std::string wants = methods_.empty() ? "nothing" : fmt::format("{}", fmt::join(methods_, ","));
  outcome_ =
      Status(Error{Errc::kAuth,
                   fmt::format("authentication failed for {}: tried {}; the server {} {}", spec_.user,
                               tried(), partial_ ? "accepted a key and still wants" : "accepts", wants),
                   hint()});
  set_state(State::kDone);
}

std::string Login::hint() const {
  if (!accepts(kPublickey)) return "only keys (publickey) are supported yet";
  for (std::size_t i = 0; i < file_notes_.size(); ++i) {
    const KeyFile& file = (*files_)[i];
    if (file.problem && !file_in_agent_[i] && !file.problem->hint.empty()) return file.problem->hint;
  }
  if (candidates_.empty()) return "name a key with IdentityFile in ssh_config, or load one with ssh-add";
  return "";
}

std::string Login::tried() const {
  std::size_t in_agent = 0, offered = 0;
  std::vector<bool> file_offered(file_notes_.size());
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    const Candidate& candidate = candidates_[i];
    in_agent += candidate.in_agent;
    if (i >= next_) continue;
    offered += candidate.in_agent;
    if (!candidate.in_agent) file_offered[candidate.file] = true;
  }
  std::vector<std::string> parts;
  if (in_agent > 0) {
    std::string count =
        offered == in_agent ? keys(in_agent) : fmt::format("{} of {}", offered, keys(in_agent));
    agent_notes_.empty()
        ? parts.push_back(fmt::format("agent ({})", count))
        : parts.push_back(fmt::format("agent ({}: {})", count, fmt::join(agent_notes_, ", ")));
  } else if (agent_ && !agent_without_keys_.empty()) {
    parts.push_back(fmt::format("agent ({})", agent_without_keys_));
  }
  for (std::size_t i = 0; i < file_notes_.size(); ++i) {
    std::string name = display_path((*files_)[i].path);
    if (!file_notes_[i].empty()) {
      parts.push_back(fmt::format("{} ({})", name, file_notes_[i]));
    } else if (file_offered[i]) {
      parts.push_back(name);
    }
  }
  return parts.empty() ? "no key" : fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace jump
