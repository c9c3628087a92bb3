#include "control/interactions.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "proto/answers.h"
#include "proto/rpc.h"

namespace jump {
namespace {

struct KindName {
  const char* wire;
  const char* words;  // "… was asked for WORDS"
};

KindName name_of(Question::Kind kind) {
  switch (kind) {
    case Question::Kind::kHostKey:
      return {"host_key", "its trust in a host key"};
    case Question::Kind::kPassphrase:
      return {"passphrase", "a passphrase"};
    case Question::Kind::kPassword:
      return {"password", "a password"};
    case Question::Kind::kKeyboardInteractive:
      return {"keyboard_interactive", "what the server wants to know"};
    case Question::Kind::kConfirm:
      return {"confirm", "a confirmation"};
    case Question::Kind::kNotice:
      break;
  }
  return {"notice", "attention"};
}

// Whole characters of UTF-8 only.
void cut(std::string& text) {
  if (text.size() <= Interactions::kMaxText) return;
  std::size_t end = Interactions::kMaxText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
}

// A hop is called by its host and its address: "prod (deploy@10.0.0.5:22)".
std::string host_of(const std::string& hop) { return hop.substr(0, hop.find(" (")); }

Error nobody(const Question& question, std::string message) {
  std::string hint;
  if (!question.host.empty()) hint = "log in from a terminal: jumpctl connect " + question.host;
  return Error{Errc::kNeedsPerson, std::move(message), std::move(hint)};
}

Error nobody_there(const Question& question) {
  return nobody(question, std::string("nobody is there to be asked for ") + name_of(question.kind).words);
}

}  // namespace

// Undoes something unless that has ended by itself.
class Interactions::Undo final : public Operation {
 public:
  explicit Undo(std::function<void()> undo) : undo_(std::move(undo)) {}
  ~Undo() override { undo_(); }

 private:
  std::function<void()> undo_;
};

Interactions::Interactions(Io& io) : io_(io) {
  deliver_soon_ = io_.deferred([this] { deliver(); });
}

Interactions::~Interactions() = default;

// --- whoever asks ---

std::unique_ptr<Operation> Interactions::ask(Question question, Answered done) {
  Pending pending;
  pending.id = "i" + std::to_string(++last_id_);
  if (question.host.empty()) question.host = host_of(question.hop);
  cut(question.title);
  cut(question.text);
  for (Prompt& prompt : question.prompts) cut(prompt.text);
  pending.question = std::move(question);
  pending.done = std::move(done);
  pending.since = io_.now();
  pending.timer = io_.timer([this, id = pending.id] {
    Pending* late = find(id);
    if (!late) return;
    const auto waited = std::chrono::duration_cast<seconds>(late->question.timeout).count();
    finish(*late,
           nobody(late->question, std::string("nobody answered when asked for ") +
                                      name_of(late->question.kind).words + " within " +
                                      std::to_string(waited) + " s"),
           "timeout");
  });
  pending_.push_back(std::move(pending));
  Pending& asked = pending_.back();
  if (pending_.size() > kMaxPending || asked.question.prompts.size() > proto::kMaxAnswers) {
    finish(asked, Error{Errc::kLimit, "too much is being asked at the same time", {}}, "withdrawn");
  } else {
    asked.timer->start(asked.question.timeout);
    offer(asked);
  }
  return std::make_unique<Undo>([this, id = asked.id] { withdraw(id); });
}

void Interactions::show(std::string hop, std::string text) {
  cut(text);
  const std::string host = host_of(hop);
  std::set<ClientId> to;
  for (const Waiting& each : waiting_) {
    if (each.host == host && clients_.contains(each.client)) to.insert(each.client);
  }
  if (to.empty()) {
    for (const auto& [id, client] : clients_) {
      if (client.scope == Scope::kAll) to.insert(id);
    }
  }
  const std::string line = proto::encode_notification(proto::notification::kNotice,
                                                      proto::Notice{host, std::move(hop), std::move(text)});
  for (ClientId client : to) clients_.at(client).notify(line);
}

void Interactions::withdraw(const std::string& id) {
  auto place = std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.id == id; });
  if (place == pending_.end()) return;
  for (ClientId client : std::set<ClientId>(place->offered)) take_from(*place, client, "withdrawn");
  pending_.erase(place);
}

void Interactions::finish(Pending& pending, Result<std::vector<Secret>> outcome, const char* reason) {
  log::info("{}: {}: {}", pending.id, pending.question.hop, reason);
  pending.outcome = std::move(outcome);
  pending.timer->stop();
  for (ClientId client : std::set<ClientId>(pending.offered)) take_from(pending, client, reason);
  deliver_soon_->schedule();
}

// Whoever is told may ask or withdraw anything meanwhile: what that brings is for the next time.
void Interactions::deliver() {
  const auto due = [](const Pending& p) { return p.outcome.has_value(); };
  for (auto left = std::count_if(pending_.begin(), pending_.end(), due); left > 0; --left) {
    auto next = std::find_if(pending_.begin(), pending_.end(), due);
    if (next == pending_.end()) return;
    Pending told = std::move(*next);
    pending_.erase(next);
    told.done(*std::move(told.outcome));
  }
}

// --- who is asked ---

// Sees to it that an open question is with those it should be with.
void Interactions::offer(Pending& pending) {
  if (pending.outcome || pending.claimer) return;
  const std::string& host = pending.question.host;
  const bool with_waiting = std::any_of(pending.offered.begin(), pending.offered.end(),
                                        [&](ClientId client) { return waits(client, host); });
  if (with_waiting) return;
  if (std::optional<ClientId> first = longest_waiting(host)) {
    offer_to(pending, *first);
  } else {
    for (const auto& [id, client] : clients_) {
      if (client.scope == Scope::kAll && has_room(id)) offer_to(pending, id);
    }
  }
  if (pending.offered.empty()) finish(pending, nobody_there(pending.question), "nobody is there");
}

void Interactions::offer_to(Pending& pending, ClientId client) {
  if (!pending.offered.insert(client).second) return;
  log::info("{}: {} asks client {} for {}", pending.id, pending.question.hop, client,
            name_of(pending.question.kind).words);
  clients_.at(client).notify(
      proto::encode_notification(proto::notification::kInteraction, describe(pending)));
}

void Interactions::take_from(Pending& pending, ClientId client, const char* reason) {
  pending.offered.erase(client);
  auto found = clients_.find(client);
  if (found == clients_.end()) return;
  found->second.notify(proto::encode_notification(proto::notification::kInteractionEnded,
                                                  proto::InteractionEnded{pending.id, reason}));
}

std::optional<Interactions::ClientId> Interactions::longest_waiting(const std::string& host) const {
  for (const Waiting& each : waiting_) {
    if (each.host == host && clients_.contains(each.client) && has_room(each.client)) return each.client;
  }
  return std::nullopt;
}

bool Interactions::waits(ClientId client, const std::string& host) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [&](const Waiting& each) { return each.client == client && each.host == host; });
}

bool Interactions::has_room(ClientId client) const {
  const auto has = [client](const Pending& pending) { return pending.offered.contains(client); };
  return std::count_if(pending_.begin(), pending_.end(), has) < static_cast<std::ptrdiff_t>(kMaxPerClient);
}

// --- clients ---

std::unique_ptr<Operation> Interactions::join(ClientId client, Scope scope, Notify notify) {
  auto [place, is_new] = clients_.try_emplace(client, Client{scope, std::move(notify)});
  if (scope == Scope::kAll) place->second.scope = scope;
  for (Pending& each : pending_) offer(each);
  if (!is_new) return nullptr;
  return std::make_unique<Undo>([this, client] { leave(client); });
}

void Interactions::leave(ClientId client) {
  clients_.erase(client);
  for (Pending& each : pending_) {
    if (each.offered.erase(client) == 0) continue;
    each.claimer.reset();
    offer(each);
  }
}

std::unique_ptr<Operation> Interactions::wait(ClientId client, std::string host) {
  auto place = waiting_.insert(waiting_.end(), Waiting{client, std::move(host)});
  for (Pending& each : pending_) {
    if (each.question.host == place->host) offer(each);
  }
  return std::make_unique<Undo>([this, place] { stop_waiting(place); });
}

void Interactions::stop_waiting(std::list<Waiting>::iterator place) {
  const Waiting gone = std::move(*place);
  waiting_.erase(place);
  auto found = clients_.find(gone.client);
  const bool asked_anyway = found != clients_.end() && found->second.scope == Scope::kAll;
  if (asked_anyway || waits(gone.client, gone.host)) return;
  for (Pending& each : pending_) {
    if (each.question.host != gone.host || !each.offered.contains(gone.client)) continue;
    take_from(each, gone.client, "withdrawn");
    each.claimer.reset();
    offer(each);
  }
}

// --- what clients say ---

Interactions::Pending* Interactions::find(const std::string& id) {
  auto found = std::find_if(pending_.begin(), pending_.end(),
                            [&](const Pending& each) { return each.id == id && !each.outcome; });
  return found == pending_.end() ? nullptr : &*found;
}

Result<Interactions::Pending*> Interactions::find_for(ClientId client, const std::string& id) {
  Pending* pending = find(id);
  if (!pending) return Error{Errc::kNotFound, "there is no such question, or no longer", {}};
  if (pending->claimer && *pending->claimer != client) {
    return Error{Errc::kInUse, "question " + pending->id + " was claimed by another client", {}};
  }
  if (!pending->offered.contains(client)) {
    return Error{Errc::kRefused, "question " + pending->id + " was not put to this client", {}};
  }
  return pending;
}

Result<proto::Interaction> Interactions::claim(ClientId client, const std::string& id) {
  Result<Pending*> found = find_for(client, id);
  if (!found) return found.error();
  Pending& pending = **found;
  if (pending.question.kind == Question::Kind::kNotice) {
    return Error{Errc::kInvalid, "question " + pending.id + " is a notice: there is nothing to answer", {}};
  }
  pending.claimer = client;
  for (ClientId other : std::set<ClientId>(pending.offered)) {
    if (other != client) take_from(pending, other, "claimed");
  }
  return describe(pending);
}

Status Interactions::respond(ClientId client, const std::string& id, std::vector<Secret> answers) {
  Result<Pending*> found = find_for(client, id);
  if (!found) return found.error();
  Pending& pending = **found;
  const std::size_t wanted = pending.question.prompts.size();
  if (wanted == 0 && pending.question.kind == Question::Kind::kNotice) {
    return Error{Errc::kInvalid, "question " + pending.id + " is a notice: there is nothing to answer", {}};
  }
  if (answers.size() != wanted) {
    return Error{Errc::kInvalid,
                 "params.answers: question " + pending.id + " has " + std::to_string(wanted) +
                     " prompts, found " + std::to_string(answers.size()) + " answers",
                 {}};
  }
  for (const Secret& answer : answers) {
    if (answer.text().size() <= kMaxAnswer) continue;
    return Error{Errc::kLimit, "an answer has at most " + std::to_string(kMaxAnswer) + " bytes", {}};
  }
  pending.offered.erase(client);
  finish(pending, std::move(answers), "answered");
  return {};
}

Status Interactions::decline(ClientId client, const std::string& id) {
  Result<Pending*> found = find_for(client, id);
  if (!found) return found.error();
  Pending& pending = **found;
  pending.offered.erase(client);
  Error declined{
      Errc::kCancelled, std::string("declined when asked for ") + name_of(pending.question.kind).words, {}};
  finish(pending, std::move(declined), "declined");
  return {};
}

// --- for clients and status ---

proto::Interaction Interactions::describe(const Pending& pending) const {
  const Question& question = pending.question;
  proto::Interaction out;
  out.id = pending.id;
  out.kind = name_of(question.kind).wire;
  out.host = question.host;
  out.hop = question.hop;
  out.title = question.title;
  out.text = question.text;
  for (const Prompt& prompt : question.prompts) out.prompts.push_back({prompt.text, prompt.echo});
  out.timeout = to_seconds(pending.since + question.timeout - io_.now());
  return out;
}

std::vector<proto::InteractionStatus> Interactions::pending() const {
  std::vector<proto::InteractionStatus> out;
  for (const Pending& each : pending_) {
    if (each.outcome) continue;
    out.push_back({each.id, name_of(each.question.kind).wire, each.question.host, each.question.hop,
                   to_seconds(io_.now() - each.since), each.claimer.has_value()});
  }
  return out;
}

bool Interactions::asks_about(const std::string& host) const {
  return std::any_of(pending_.begin(), pending_.end(),
                     [&](const Pending& each) { return !each.outcome && each.question.host == host; });
}

}  // namespace jump
