#include "route/hosts.h"

#include <algorithm>
#include <utility>

#include "base/shell_quoted.h"

namespace jump {
namespace {

// Whether `host` is `other` by another name, waits for one that is, or is a bastion that it is a member of.
bool leads_through(const Host& host, const Host& other) {
  const std::vector<std::string>& members = host.members();
  if (std::find(members.begin(), members.end(), other.name()) != members.end()) return true;
  if (!host.route() || !other.route()) return false;
  return host.route()->same_connections(*other.route()) ||
         (host.is_blocked() && host.route()->steps.size() > 1 &&
          host.route()->to_jump_host().same_connections(*other.route()));
}

}  // namespace

// What one host says of another's end must not reach those that are gone already.
Hosts::~Hosts() {
  for (const auto& [name, host] : hosts_) host->drop_race();
  bastions_.clear();
}

Result<Host*> Hosts::get(const std::string& name) {
  Host* known = find(name);
  if (!known) {
    if (Result<HostName> parsed = HostName::parse(name); !parsed) return parsed.error();
    Result<Host*> made = make(name, {});
    if (!made) return made;
    known = *made;
  }
  asked_for_.insert(name);
  return known;
}

Result<Host*> Hosts::make(const std::string& name, const std::string& jump) {
  if (hosts_.size() >= kMaxHosts) {
    return Error{Errc::kLimit, "the agent knows " + std::to_string(kMaxHosts) + " hosts already",
                 "restart it: jumpagent down; jumpagent up"};
  }
  HostDirectory& directory = *this;
  auto host = std::make_unique<Host>(io_, budget_, routes_, directory, name, jump, lanes_, prompter_);
  auto& slot = hosts_[host->name()];
  slot = std::move(host);
  if (const auto known = expected_.find(slot->name()); known != expected_.end())
    slot->expect_person(known->second);
  host_changed();
  return slot.get();
}

// A Host that only resolves has no route of its own yet, and will find the other when it has one.
Host* Hosts::same_connection(const Host& asking, const Route& route) {
  for (const auto& [name, host] : hosts_) {
    bool live = host->state() == Host::State::kConnecting || host->state() == Host::State::kReady;
    bool leads = host.get() != &asking && !host->leader() && live;
    if (leads && host->route() && host->route()->same_connections(route)) return host.get();
  }
  return nullptr;
}

// The one that is connected, by whatever name. Else one whose login takes a person: by another name it would
// be begun without one. Else the one of that name.
Result<Host*> Hosts::carrier(const Route& route) {
  Host* attended = nullptr;
  for (const auto& [name, host] : hosts_) {
    if (host->leader() || !host->route() || !host->route()->same_connections(route)) continue;
    if (host->state() == Host::State::kConnecting || host->state() == Host::State::kReady) return host.get();
    if (host->took_person().value_or(false)) attended = host.get();
  }
  if (attended) return attended;
  const Route::Step& last = route.steps.back();
  if (Host* known = find(last.title())) return known;
  return make(last.name, last.jump);
}

std::vector<Host*> Hosts::carried_by(const Host& host) const {
  const Host* carrier = host.leader() ? host.leader() : &host;
  std::vector<Host*> carried;
  for (const auto& [name, each] : hosts_) {
    const Host* via = each->via();
    if (via && (via->leader() ? via->leader() : via) == carrier) carried.push_back(each.get());
  }
  return carried;
}

// --- bastions
// -----------------------------------------------------------------------------------------------------------

void Hosts::set_bastions(Bastions bastions) {
  const Bastions before = std::exchange(bastions_, std::move(bastions));
  RouteFinder::Bastions names;
  for (const auto& [name, list] : bastions_) names[name];
  routes_.set_bastions(std::move(names));
  for (const auto& [name, list] : before) {
    Host* host = find(name);
    if (host && host->race() && list != members(name)) host->look_again();
  }
}

const std::vector<std::string>& Hosts::members(const std::string& name) const {
  static const std::vector<std::string> none;
  const auto found = bastions_.find(name);
  return found == bastions_.end() ? none : found->second;
}

std::map<std::string, std::string> Hosts::serving() const {
  std::map<std::string, std::string> serving;
  for (const auto& [name, list] : bastions_) {
    const auto found = hosts_.find(name);
    const bool serves = found != hosts_.end() && found->second->leader();
    serving[name] = serves ? found->second->serving() : list.front();
  }
  return serving;
}

// Nobody has asked for it by this name, so it is not what connected() tells.
Result<Host*> Hosts::member(const std::string& name) {
  Host* known = find(name);
  return known ? known : make(name, {});
}

void Hosts::expect(const std::vector<std::string>& attended, const std::vector<std::string>& unattended) {
  for (const std::string& name : unattended) expected_[name] = false;
  for (const std::string& name : attended) expected_[name] = true;
  for (const auto& [name, host] : hosts_) {
    if (const auto known = expected_.find(name); known != expected_.end()) host->expect_person(known->second);
  }
}

std::vector<BastionRace*> Hosts::races() const {
  std::vector<BastionRace*> races;
  for (const auto& [name, list] : bastions_) {
    const auto found = hosts_.find(name);
    if (found != hosts_.end() && found->second->race()) races.push_back(found->second->race());
  }
  return races;
}

std::vector<Host*> Hosts::suitors(const Host& host) const {
  std::vector<Host*> suitors;
  for (const auto& [name, list] : bastions_) {
    const auto found = hosts_.find(name);
    const BastionRace* race = found == hosts_.end() ? nullptr : found->second->race();
    if (race && race->tries(host)) suitors.push_back(found->second.get());
  }
  return suitors;
}

std::vector<Host*> Hosts::bastions_of(const Host& host) const {
  std::vector<Host*> all;
  for (const auto& [name, list] : bastions_) {
    const auto found = hosts_.find(name);
    if (found != hosts_.end() && std::find(list.begin(), list.end(), host.name()) != list.end())
      all.push_back(found->second.get());
  }
  return all;
}

bool Hosts::may_ask(const Host& host) {
  const std::vector<BastionRace*> all = races();
  return std::all_of(all.begin(), all.end(), [&host](BastionRace* race) { return race->may_ask(host); });
}

void Hosts::host_connected(const Host& host) {
  const Host* first = &host;
  std::vector<const Host*> open = {first};
  while (!open.empty()) {
    const Host* mended = open.back();
    open.pop_back();
    for (const auto& [name, each] : hosts_) {
      const bool other_way =
          mended == first && each->state() == Host::State::kDown && leads_through(*each, host);
      if (!each->is_blocked_by(*mended) && !other_way) continue;
      each->unblock();
      open.push_back(each.get());
    }
  }
}

void Hosts::host_changed() {
  for (BastionRace* race : races()) race->look_soon();
  if (changed_) changed_();
}

Status Hosts::disconnect(const std::string& name, const Error& reason) {
  Host* host = find(name);
  if (!host) {
    return Error{Errc::kNotFound, "'" + name + "' is not connected", "the hosts there are: jumpctl status"};
  }
  if (std::vector<Host*> carried = carried_by(*host); !carried.empty()) {
    std::string listed, words;
    for (const Host* each : carried) {
      listed += (listed.empty() ? "" : ", ") + each->name();
      words += " " + shell_quoted(each->name());
    }
    return Error{Errc::kInUse, name + " is the way to " + listed,
                 "end these first: jumpctl disconnect" + words};
  }
  host->disconnect(reason);
  return {};
}

void Hosts::nudge(Host::Nudge why) {
  for (const auto& [name, host] : hosts_) host->nudge(why);
}

void Hosts::let_go() {
  for (const auto& [name, host] : hosts_) host->leave();
}

Host* Hosts::find(const std::string& name) {
  auto found = hosts_.find(name);
  return found == hosts_.end() ? nullptr : found->second.get();
}

std::vector<std::string> Hosts::connected() const {
  std::vector<std::string> names;
  for (const auto& [name, host] : hosts_) {
    if (host->ready() && asked_for_.count(name) &&
        !(host->leader() && asked_for_.count(host->leader()->name())))
      names.push_back(name);
  }
  return names;
}

}  // namespace jump
