#include "auth/host_key_updater.h"

#include <sys/stat.h>

#include <cassert>
#include <optional>
#include <utility>

#include "auth/host_key_record.h"
#include "auth/host_pattern.h"
#include "base/log.h"

namespace jump {

struct HostKeyUpdater::Work {
  HostKeySpec spec;
  std::string name;  // as known_hosts has it
  std::string algorithms;
  Bytes session_id, list, reply;
  std::optional<Result<HostKeyUpdate>> update;
  Status status;

  std::vector<std::string> user_files() const {
    auto count = static_cast<std::ptrdiff_t>(std::min(spec.user_files, spec.files.size()));
    return {spec.files.begin(), spec.files.begin() + count};
  }
  void plan() { update = HostKeyUpdate::plan(list, algorithms, name, KnownHosts::load(user_files())); }
  void verify() { status = (*update)->verify_proofs(reply, session_id); }
  // Only the first file gets keys, the others lose theirs: nothing may be lost because the first is missing.
  void replace() {
    std::vector<std::string> files = user_files();
    struct stat info {};
    if (files.empty() || stat(files.front().c_str(), &info) != 0) {
      status = Error{Errc::kNotFound, "there is no file to keep them in", ""};
      return;
    }
    std::vector<HostKey> keys = (*update)->keys();
    for (std::size_t i = 0; i < files.size() && status; ++i)
      status =
          replace_host_keys(files[i], name, i == 0 ? keys : std::vector<HostKey>{}, spec.hash_known_hosts);
  }
};

HostKeyUpdater::HostKeyUpdater(Io& io, Prompter* prompter, HostKeySpec spec, UpdateHostKeys mode,
                               std::string algorithms, Bytes session_id, Prove prove)
    : io_(io),
      prompter_(prompter),
      spec_(std::move(spec)),
      mode_(mode),
      prove_(std::move(prove)),
      work_(std::make_shared<Work>()),
      alive_(std::make_shared<HostKeyUpdater*>(this)) {
  work_->spec = spec_;
  work_->name = known_hosts_name(spec_.name, spec_.port);
  work_->algorithms = std::move(algorithms);
  work_->session_id = std::move(session_id);
}

HostKeyUpdater::~HostKeyUpdater() { *alive_ = nullptr; }

void HostKeyUpdater::on_list(ByteView list) {
  // ssh does not even begin where it may not ask.
  bool mute = mode_ == UpdateHostKeys::kAsk && (!spec_.may_ask || prompter_ == nullptr);
  if (state_ != State::kIdle || mode_ == UpdateHostKeys::kNo || mute || spec_.user_files == 0) return;
  set_state(State::kPlanning);
  work_->list = to_bytes(list);
  operation_ = io_.in_pool([work = work_] { work->plan(); }, [this] { on_planned(); });
}

void HostKeyUpdater::on_planned() {
  const Result<HostKeyUpdate>& update = *work_->update;
  if (!update) return give_up(update.error().message);
  switch (update->next()) {
    case HostKeyUpdate::Next::kNothing:
      return give_up(update->reason());
    case HostKeyUpdate::Next::kApply:
      return ask();
    case HostKeyUpdate::Next::kProve:
      break;
  }
  set_state(State::kProving);
  Bytes request = update->proof_request();
  prove_(request, [alive = alive_](bool success, ByteView reply) {
    if (*alive) (*alive)->on_proved(success, reply);
  });
}

void HostKeyUpdater::on_proved(bool success, ByteView reply) {
  if (!success) return give_up("the server does not prove that they are its own");
  set_state(State::kVerifying);
  work_->reply = to_bytes(reply);
  operation_ = io_.in_pool([work = work_] { work->verify(); }, [this] { on_verified(); });
}

void HostKeyUpdater::on_verified() {
  if (!work_->status) return give_up(work_->status.error().message);
  ask();
}

void HostKeyUpdater::ask() {
  if (mode_ != UpdateHostKeys::kAsk) return replace();
  set_state(State::kAsking);
  Question question;
  question.kind = Question::Kind::kConfirm;
  question.hop = spec_.hop;
  question.title = "new host keys of " + spec_.host;
  question.text =
      "The server has updated its host keys.\n"
      "These changes were verified by the server's existing trusted key.\n" +
      describe("\n");
  question.prompts.push_back({"Accept updated hostkeys? (yes/no): ", true});
  operation_ = prompter_->ask(std::move(question), [this](Result<std::vector<Secret>> answer) {
    bool yes = answer && !answer->empty() && answer->front().text() == "yes";
    if (!yes) return give_up(answer ? "they were not accepted" : answer.error().message);
    replace();
  });
}

void HostKeyUpdater::replace() {
  set_state(State::kReplacing);
  operation_ = io_.in_pool([work = work_] { work->replace(); },
                           [this] {
                             if (!work_->status) return give_up(work_->status.error().message);
                             log::info("{}: known_hosts now has the server's current host keys: {}",
                                       spec_.hop, describe("; "));
                             set_state(State::kDone);
                           });
}

std::string HostKeyUpdater::describe(const char* separator) const {
  std::string text;
  auto add = [&](const char* what, const PublicKey& key) {
    text += (text.empty() ? "" : separator) + (what + key.type) + " " + key.fingerprint();
  };
  for (const PublicKey& key : (*work_->update)->learned()) add("Learned new hostkey: ", key);
  for (const PublicKey& key : (*work_->update)->forgotten()) add("Deprecating obsolete hostkey: ", key);
  return text;
}

void HostKeyUpdater::give_up(const std::string& why) {
  if (!why.empty()) log::info("{}: the server's other host keys are not learned: {}", spec_.hop, why);
  set_state(State::kDone);
}

void HostKeyUpdater::set_state(State next) {
  static constexpr const char* kNames[] = {"idle",   "planning",  "proving", "verifying",
                                           "asking", "replacing", "done"};
  log::trace("{}: host keys: {} -> {}", spec_.hop, kNames[static_cast<int>(state_)],
             kNames[static_cast<int>(next)]);
  assert(next > state_);
  state_ = next;
}

}  // namespace jump
