#include "auth/host_key_check.h"

#include <fmt/core.h>

#include <cassert>
#include <utility>

#include "auth/fingerprint.h"
#include "auth/host_key_record.h"
#include "auth/public_key.h"
#include "base/log.h"
#include "base/printable.h"

namespace jump {
namespace {

constexpr std::size_t kMaxNotice = 8 * 1024;  // more than the longest path

// False: another connection to the same host has recorded the key while a person was thinking.
Result<bool> record_unless_known(const HostKeySpec& spec, const std::string& name, const HostKey& key,
                                 const std::string& home) {
  const std::string& file = spec.files.front();
  KnownHosts now = KnownHosts::load({file});
  HostKeyVerdict verdict = now.check(spec.name, spec.port, key);
  if (verdict.kind == HostKeyVerdict::Kind::kKnown && !verdict.without_port) return false;
  Status added = append_known_hosts_entry(file, known_hosts_entry(name, key, spec.hash_known_hosts), home);
  if (!added) return added.error();
  return true;
}

// Equal keys have equal blobs from here on. What is no key stays as it is: the policy refuses it.
HostKey canonical(HostKey key) {
  Result<PublicKey> parsed = parse_public_key_blob(key.blob);
  if (!parsed) return key;
  return {std::move(parsed->type), std::move(parsed->blob)};
}

}  // namespace

HostKeyCheck::HostKeyCheck(Io& io, Prompter* prompter, HostKeySpec spec,
                           std::shared_ptr<const HostKeyFiles> files, HostKey key, std::string address,
                           std::function<void()> wake)
    : io_(io),
      prompter_(prompter),
      spec_(std::move(spec)),
      files_(std::move(files)),
      key_(canonical(std::move(key))),
      address_(std::move(address)),
      wake_(std::move(wake)),
      policy_(spec_, *files_) {}

void HostKeyCheck::start() {
  using Action = HostKeyDecision::Action;
  HostKeyDecision decision = policy_.decide(key_);
  updatable_ = decision.updatable;
  refusal_ = std::move(decision.error);
  switch (decision.action) {
    case Action::kAccept:
      return finish({});
    case Action::kRecord:
      return record();
    case Action::kAsk:
      if (prompter_) return ask(nullptr);
      return finish(refusal_);
    case Action::kRefuse:
      return finish(refusal_);
  }
}

void HostKeyCheck::ask(const char* again) {
  set_state(State::kAsking);
  ++asked_;
  Question question = policy_.question(key_, address_);
  if (again) question.prompts.front().text = again;
  operation_ = prompter_->ask(std::move(question),
                              [this](Result<std::vector<Secret>> answer) { on_answer(std::move(answer)); });
}

void HostKeyCheck::on_answer(Result<std::vector<Secret>> answer) {
  if (!answer) {
    Error error = refusal_;
    error.code = answer.error().code;
    error.message += " (" + answer.error().message + ")";
    finish(std::move(error));
    return wake_();
  }
  std::optional<bool> said = answer->empty() ? false : host_key_answer(answer->front().text(), key_);
  if (!said && asked_ < kMaxAsked) return ask("Please type 'yes', 'no' or the fingerprint: ");
  if (!said || !*said) {
    Error error = refusal_;
    error.code = Errc::kCancelled;
    error.message += "; it was not accepted";
    finish(std::move(error));
    return wake_();
  }
  updatable_ = true;
  record();
}

void HostKeyCheck::record() {
  set_state(State::kRecording);
  auto added = std::make_shared<Result<bool>>(false);
  operation_ = io_.in_pool([added, spec = spec_, name = policy_.record_name(), key = key_,
                            home = files_->home] { *added = record_unless_known(spec, name, key, home); },
                           [this, added] { on_recorded(*added); });
}

void HostKeyCheck::on_recorded(const Result<bool>& added) {
  if (added && *added) {
    log::info("{}: permanently added '{}' ({} {}) to {}", spec_.hop, policy_.record_name(), key_.algorithm,
              fingerprint(key_.blob), spec_.files.front());
  } else if (!added) {
    tell_unrecorded(added.error());
  }
  finish({});
  wake_();
}

// In ssh's words.
void HostKeyCheck::tell_unrecorded(const Error& error) {
  const std::string& file = spec_.files.front();
  std::string why = error.message;
  if (why.starts_with(file + ": ")) why.erase(0, file.size() + 2);
  unrecorded_ = printable(
      fmt::format("Failed to add the host to the list of known hosts ({}): {}", file, why), kMaxNotice);
  log::warn("{}: {}", spec_.hop, unrecorded_);
  if (prompter_ == nullptr) return;
  Question notice;
  notice.host = spec_.host;
  notice.hop = spec_.hop;
  notice.text = unrecorded_;
  prompter_->show(std::move(notice));
}

void HostKeyCheck::finish(Status outcome) {
  set_state(State::kDone);
  outcome_ = std::move(outcome);
}

void HostKeyCheck::set_state(State next) {
  assert(next >= state_ && state_ != State::kDone);
  static constexpr const char* kNames[] = {"new", "asking", "recording", "done"};
  log::trace("{}: host key: {} -> {}", spec_.hop, kNames[static_cast<int>(state_)],
             kNames[static_cast<int>(next)]);
  state_ = next;
}

}  // namespace jump
