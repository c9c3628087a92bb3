#include "control/interactions.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/printable.h"
#include "proto/answers.h"
#include "proto/rpc.h"

namespace jump {
namespace {

struct KindName {
  const char* wire;
  const char* words;  // "… was asked WORDS"
};

KindName name_of(Question::Kind kind) {
  switch (kind) {
    case Question::Kind::kHostKey:
      return {"host_key", "whether to trust the host key"};
    case Question::Kind::kPassphrase:
      return {"passphrase", "for a passphrase"};
    case Question::Kind::kPassword:
      return {"password", "for a password"};
    case Question::Kind::kKeyboardInteractive:
      return {"keyboard_interactive", "for what the server wants to know"};
    case Question::Kind::kConfirm:
      return {"confirm", "for a confirmation"};
    case Question::Kind::kNotice:
      break;
  }
  return {"notice", "for attention"};
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
  return nobody(question, fmt::format("{} to be asked {}", kNobodyIsThere, name_of(question.kind).words));
}

// A notice wants no answer: it waits for somebody to be shown to, and has no end of its own.
bool wants_answer(const Question& question) { return question.kind != Question::Kind::kNotice; }

std::set<std::string> names_of(const Question& question) {
  if (!question.waited_for) return {question.host};
  std::vector<std::string> names = question.waited_for();
  return {names.begin(), names.end()};
}

template <class Range, class Value>
bool contains(const Range& range, const Value& value) {
  return std::find(range.begin(), range.end(), value) != range.end();
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
  offer_soon_ = io_.deferred([this] { offer_all(); });
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
  if (question.after_login) pending.waited = who_waited(question);
  pending.question = std::move(question);
  pending.done = std::move(done);
  pending.since = io_.now();
  pending.timer = io_.timer([this, id = pending.id] { on_timeout(id); });
  pending_.push_back(std::move(pending));
  Pending& asked = pending_.back();
  changed_();
  if (pending_.size() > kMaxPending || asked.question.prompts.size() > proto::kMaxAnswers) {
    finish(asked,
           Error{Errc::kLimit, "too much is being asked at the same time",
                 "answer what is open, jumpctl status lists it; then try again"},
           "withdrawn");
  } else {
    offer(asked);
  }
  return std::make_unique<Undo>([this, id = asked.id] { withdraw(id); });
}

void Interactions::on_timeout(const std::string& id) {
  Pending* late = find(id);
  if (!late) return;
  const auto waited = std::chrono::duration_cast<seconds>(late->question.timeout).count();
  finish(*late,
         nobody(late->question, fmt::format("nobody answered when asked {} within {} s",
                                            name_of(late->question.kind).words, waited)),
         "timeout");
}

void Interactions::show(Question notice) {
  cut(notice.text);
  if (notice.host.empty()) notice.host = host_of(notice.hop);
  std::vector<ClientId> to = who_waits(notice);
  if (to.empty()) to = subscribers();
  for (ClientId client : to) {
    clients_.at(client).notify(proto::encode_notification(
        proto::notification::kNotice, proto::Notice{waited_host(notice, client), notice.hop, notice.text}));
  }
}

void Interactions::withdraw(const std::string& id) {
  auto place = std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.id == id; });
  if (place == pending_.end()) return;
  for (ClientId client : std::set<ClientId>(place->offered)) take_from(*place, client, "withdrawn");
  pending_.erase(place);
  changed_();
}

void Interactions::finish(Pending& pending, Result<std::vector<Secret>> outcome, const char* reason) {
  log::info("{}: {}: {}", pending.id, pending.question.hop, reason);
  pending.outcome = std::move(outcome);
  pending.timer->stop();
  changed_();
  for (ClientId client : std::set<ClientId>(pending.offered)) take_from(pending, client, reason);
  deliver_soon_->schedule();
  offer_soon_->schedule();
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

void Interactions::offer_all() {
  for (Pending& each : pending_) offer(each);
}

// Sees to it that an open question is with those it should be with.
void Interactions::offer(Pending& pending) {
  if (pending.outcome) return;
  std::vector<ClientId> waiting = who_waits(pending.question);
  const auto has_declined = [&pending](ClientId client) { return pending.declined.contains(client); };
  std::erase_if(waiting, has_declined);
  for (ClientId client : pending.waited) {
    if (clients_.contains(client) && !contains(waiting, client)) waiting.push_back(client);
  }
  std::vector<ClientId> all = subscribers();
  std::erase_if(all, has_declined);
  const auto is_waiting = [&waiting](ClientId client) { return contains(waiting, client); };
  for (ClientId client : std::set<ClientId>(pending.offered)) {
    if (is_waiting(client) || contains(all, client)) continue;
    take_from(pending, client, "withdrawn");
    if (pending.claimer == client) pending.claimer.reset();
  }
  if (pending.claimer || std::any_of(pending.offered.begin(), pending.offered.end(), is_waiting)) return;
  for (ClientId client : waiting.empty() ? all : waiting) {
    if (!has_room(client)) continue;
    offer_to(pending, client);
    if (!waiting.empty()) break;
  }
  // With somebody who has no room yet it waits.
  if (waiting.empty() && all.empty() && wants_answer(pending.question))
    finish(pending, nobody_there(pending.question), "nobody is there");
}

void Interactions::offer_to(Pending& pending, ClientId client) {
  if (!pending.offered.insert(client).second) return;
  log::info("{}: {} asks client {} {}", pending.id, pending.question.hop, client,
            name_of(pending.question.kind).words);
  if (!pending.deadline && wants_answer(pending.question)) {
    pending.deadline = io_.now() + pending.question.timeout;
    pending.timer->start(pending.question.timeout);
  }
  clients_.at(client).notify(
      proto::encode_notification(proto::notification::kInteraction, describe(pending, client)));
}

void Interactions::take_from(Pending& pending, ClientId client, const char* reason) {
  pending.offered.erase(client);
  offer_soon_->schedule();  // there is room now
  auto found = clients_.find(client);
  if (found == clients_.end()) return;
  found->second.notify(proto::encode_notification(proto::notification::kInteractionEnded,
                                                  proto::InteractionEnded{pending.id, reason}));
}

// Those that can answer, who has waited longest first.
std::vector<Interactions::ClientId> Interactions::who_waits(const Question& question) const {
  if (waiting_.empty()) return {};
  const std::set<std::string> names = names_of(question);
  std::vector<ClientId> clients;
  for (const Waiting& each : waiting_) {
    if (names.contains(each.host) && clients_.contains(each.client) && !contains(clients, each.client))
      clients.push_back(each.client);
  }
  return clients;
}

std::vector<Interactions::ClientId> Interactions::who_waited(const Question& question) const {
  const std::set<std::string> names = names_of(question);
  std::vector<ClientId> clients;
  for (const Waited& each : waited_) {
    if (each.until > io_.now() && names.contains(each.host)) clients.push_back(each.client);
  }
  return clients;
}

std::vector<Interactions::ClientId> Interactions::subscribers() const {
  std::vector<ClientId> clients;
  for (const auto& [id, client] : clients_) {
    if (client.scope == Scope::kAll) clients.push_back(id);
  }
  return clients;
}

// The name that the client, or else the one that has waited longest, waits for.
std::string Interactions::waited_host(const Question& question, std::optional<ClientId> client) const {
  if (!question.waited_for) return question.host;
  const std::set<std::string> names = names_of(question);
  for (const Waiting& each : waiting_) {
    if ((!client || each.client == *client) && names.contains(each.host)) return each.host;
  }
  return question.host;
}

bool Interactions::has_room(ClientId client) const {
  const auto has = [client](const Pending& pending) { return pending.offered.contains(client); };
  return std::count_if(pending_.begin(), pending_.end(), has) < static_cast<std::ptrdiff_t>(kMaxPerClient);
}

// --- clients ---

std::unique_ptr<Operation> Interactions::join(ClientId client, Scope scope, Notify notify) {
  auto [place, is_new] = clients_.try_emplace(client, Client{scope, std::move(notify)});
  if (scope == Scope::kAll) place->second.scope = scope;
  offer_all();
  if (!is_new) return nullptr;
  return std::make_unique<Undo>([this, client] { leave(client); });
}

void Interactions::leave(ClientId client) {
  clients_.erase(client);
  waited_.remove_if([client](const Waited& each) { return each.client == client; });
  offer_all();
}

std::unique_ptr<Operation> Interactions::wait(ClientId client, std::string host, Declined declined) {
  auto place = waiting_.insert(waiting_.end(), Waiting{client, std::move(host), std::move(declined)});
  offer_all();
  return std::make_unique<Undo>([this, place] { stop_waiting(place); });
}

void Interactions::stop_waiting(std::list<Waiting>::iterator place) {
  waited_.remove_if([now = io_.now()](const Waited& each) { return each.until <= now; });
  if (clients_.contains(place->client)) {
    waited_.push_back({place->client, std::move(place->host), io_.now() + kRemembered});
    if (waited_.size() > kMaxRemembered) waited_.pop_front();
  }
  waiting_.erase(place);
  offer_all();
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
  changed_();
  for (ClientId other : std::set<ClientId>(pending.offered)) {
    if (other != client) take_from(pending, other, "claimed");
  }
  return describe(pending, client);
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

Status Interactions::decline(ClientId client, const std::string& id, const std::string& why) {
  Result<Pending*> found = find_for(client, id);
  if (!found) return found.error();
  Pending& pending = **found;
  pending.offered.erase(client);
  const char* words = name_of(pending.question.kind).words;
  Error declined{Errc::kCancelled, fmt::format("declined when asked {}", words), {}};
  if (!why.empty()) {
    declined = nobody(pending.question,
                      fmt::format("nobody could be asked {}: {}", words, printable(why, kMaxReason)));
  }
  if (!pass_on(pending, client, declined)) finish(pending, std::move(declined), "declined");
  return {};
}

// Who does not want to answer speaks for themselves. False: nobody else waits.
bool Interactions::pass_on(Pending& pending, ClientId client, const Error& declined) {
  pending.declined.insert(client);
  const std::vector<ClientId> waiting = who_waits(pending.question);
  const bool others = std::any_of(waiting.begin(), waiting.end(),
                                  [&](ClientId each) { return !pending.declined.contains(each); });
  if (!others || !wants_answer(pending.question)) return false;
  log::info("{}: {}: declined by client {}", pending.id, pending.question.hop, client);
  pending.claimer.reset();
  changed_();
  const Error error = declined.context(pending.question.hop);
  std::vector<Declined> told;
  const std::set<std::string> names = names_of(pending.question);
  for (const Waiting& each : waiting_) {
    if (each.client == client && each.declined && names.contains(each.host)) told.push_back(each.declined);
  }
  offer_soon_->schedule();
  for (const Declined& tell : told) tell(error);  // ends its waiting
  return true;
}

// --- for clients and status ---

proto::Interaction Interactions::describe(const Pending& pending, ClientId client) const {
  const Question& question = pending.question;
  proto::Interaction out;
  out.id = pending.id;
  out.kind = name_of(question.kind).wire;
  out.host = waited_host(question, client);
  out.hop = question.hop;
  out.title = question.title;
  out.text = question.text;
  for (const Prompt& prompt : question.prompts) out.prompts.push_back({prompt.text, prompt.echo});
  if (pending.deadline) out.timeout = to_seconds(*pending.deadline - io_.now());
  return out;
}

std::vector<proto::InteractionStatus> Interactions::pending() const {
  std::vector<proto::InteractionStatus> out;
  for (const Pending& each : pending_) {
    if (each.outcome) continue;
    out.push_back({each.id, name_of(each.question.kind).wire, waited_host(each.question, std::nullopt),
                   each.question.hop, to_seconds(io_.now() - each.since), each.claimer.has_value()});
  }
  return out;
}

std::set<std::string> Interactions::hosts_that_wait() const {
  std::set<std::string> hosts;
  for (const Pending& each : pending_) {
    if (!each.outcome) hosts.merge(names_of(each.question));
  }
  return hosts;
}

}  // namespace jump
