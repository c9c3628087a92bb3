#include "channel/remote_listeners.h"

#include <limits>
#include <utility>

#include "base/log.h"
#include "base/printable.h"
#include "base/wire.h"
#include "channel/messages.h"

namespace jump {
namespace {

// Servers name what they listen on as they were asked (OpenSSH), or as they have bound it.
enum class Reach { kAll, kLoopback, kOther };

Reach reach_of(std::string_view address) {
  if (address.empty() || address == "*" || address == "0.0.0.0" || address == "::") return Reach::kAll;
  if (address == "localhost" || address == "127.0.0.1" || address == "::1") return Reach::kLoopback;
  return Reach::kOther;
}

Status check(const RemoteListen& at) {
  const std::string& name = at.is_unix() ? at.path : at.address;
  if (name.size() > RemoteListeners::kMaxName || name.find('\0') != std::string::npos) {
    return Error{Errc::kInvalid, "the server cannot listen on " + printable(at.to_string(), 64), {}};
  }
  return {};
}

// The port in the answer to a request for port 0; 0: there is none.
std::uint16_t chosen_port(ByteView answer) {
  WireReader in(answer);
  std::uint32_t port = in.u32();
  bool sane = in.ok() && port <= std::numeric_limits<std::uint16_t>::max();
  return sane ? static_cast<std::uint16_t>(port) : std::uint16_t{0};
}

}  // namespace

RemoteListener::~RemoteListener() {
  if (registry_) registry_->withdraw(id_);
}

RemoteListeners::RemoteListeners(Mux& mux) : mux_(mux) {
  for (std::string_view type : {ForwardedTcpip::kType, ForwardedStreamlocal::kType}) {
    mux_.set_peer_open_handler(type, [this](IncomingChannel incoming) { on_forwarded(std::move(incoming)); });
  }
}

RemoteListeners::~RemoteListeners() {
  for (auto& [id, entry] : entries_) entry.listener->registry_ = nullptr;
}

RemoteListeners::Name RemoteListeners::name_of(const RemoteListen& at) {
  return at.is_unix() ? Name(0, at.path) : Name(at.port, at.address);
}

// --- asking
// -------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<RemoteListener>> RemoteListeners::listen(RemoteListen at,
                                                                RemoteListenHandler* handler) {
  if (mux_.ended()) return Error{Errc::kClosed, "the connection has ended", {}};
  if (Status valid = check(at); !valid) return std::move(valid).error();
  if (at.address == "*") at.address.clear();
  if (entries_.size() >= kMaxListeners || queue_.size() >= kMaxListeners) {
    return Error{
        Errc::kLimit,
        "the server listens on too much already over this connection (" + std::to_string(kMaxListeners) + ")",
        {}};
  }
  bool named = at.is_unix() || at.port != 0;
  if (named && !names_.try_emplace(name_of(at), last_id_ + 1).second) {
    return Error{
        Errc::kInUse, "the server listens on " + at.to_string() + " for this agent already",
        "close the forward that has it, or choose another " + std::string(at.is_unix() ? "path" : "port")};
  }
  Id id = ++last_id_;
  auto listener = std::unique_ptr<RemoteListener>(new RemoteListener(this, id));
  queue_.push_back({at, id});
  entries_[id] = Entry{std::move(at), State::kQueued, listener.get(), handler};
  ask_next();
  return listener;
}

// Called for each answer that comes, ours or not: the Mux may have room again.
void RemoteListeners::ask_next() {
  while (!queue_.empty() && asked_ < kMaxAsked && !mux_.ended()) {
    const Request& next = queue_.front();
    auto entry = entries_.find(next.listen);
    bool cancels = next.listen == 0;
    if (!cancels && entry == entries_.end()) {  // withdrawn before it was asked
      queue_.pop_front();
      continue;
    }
    auto answer = [this, at = next.at, id = next.listen](bool success, ByteView data) {
      asked_--;
      if (id != 0) return on_answer(id, at, success, data);
      if (!success)
        log::debug("{}: the server did not stop to listen on {}", mux_.id(), printable(at.to_string(), 128));
    };
    std::string_view name = cancels ? next.at.cancel_request() : next.at.listen_request();
    if (!mux_.global_request(name, next.at.request_data(), std::move(answer))) return;
    asked_++;
    if (!cancels) entry->second.state = State::kAsked;
    queue_.pop_front();
  }
}

void RemoteListeners::on_answer(Id id, const RemoteListen& asked, bool success, ByteView data) {
  RemoteListen at = asked;
  bool chosen = !at.is_unix() && at.port == 0;
  if (success && chosen) at.port = chosen_port(data);
  bool named = at.is_unix() || at.port != 0;
  auto found = entries_.find(id);
  if (found == entries_.end()) {  // withdrawn; where the port was known it is cancelled already
    if (success && chosen && named) cancel(at);
    return;
  }
  if (!success) return not_listening(id, at.refused());
  if (!named) {
    return not_listening(id, Error{Errc::kProtocol, "the server did not say which port it chose", {}});
  }
  if (!claim(at, id)) {
    return not_listening(
        id, Error{Errc::kProtocol, "the server chose " + at.to_string() + ", where it listens already", {}});
  }
  Entry& entry = found->second;
  entry.at = std::move(at);
  entry.state = State::kListening;
  entry.handler->on_listening(entry.at.port);
}

void RemoteListeners::not_listening(Id id, Error error) {
  Entry entry = entries_.at(id);
  forget(id);
  entry.listener->registry_ = nullptr;
  entry.handler->on_listening(std::move(error));
}

// A port that the server chose may be the one that somebody has just asked for by number: that request will
// be refused.
bool RemoteListeners::claim(const RemoteListen& at, Id id) {
  auto [name, fresh] = names_.try_emplace(name_of(at), id);
  if (fresh || name->second == id) return true;
  if (listening(name->second)) return false;
  name->second = id;
  return true;
}

// --- ends
// ---------------------------------------------------------------------------------------------------------

void RemoteListeners::withdraw(Id id) {
  auto found = entries_.find(id);
  if (found == entries_.end()) return;
  RemoteListen at = found->second.at;
  bool asked = found->second.state != State::kQueued;
  forget(id);
  // Requests are answered in order, so what was asked can be cancelled before its answer: unless the port is
  // still to be chosen, see on_answer().
  if (asked && (at.is_unix() || at.port != 0)) cancel(at);
}

void RemoteListeners::cancel(const RemoteListen& at) {
  if (mux_.ended()) return;
  queue_.push_back({at, 0});
  ask_next();
}

void RemoteListeners::forget(Id id) {
  auto found = entries_.find(id);
  auto name = names_.find(name_of(found->second.at));
  if (name != names_.end() && name->second == id) names_.erase(name);
  entries_.erase(found);
}

void RemoteListeners::fail(const Error& error) {
  queue_.clear();
  names_.clear();
  while (!entries_.empty()) {
    Entry entry = std::move(entries_.extract(entries_.begin()).mapped());
    entry.listener->registry_ = nullptr;
    if (entry.state == State::kListening) {
      entry.handler->on_lost(error);
    } else {
      entry.handler->on_listening(error);
    }
  }
}

// --- channels
// -----------------------------------------------------------------------------------------------------

void RemoteListeners::on_forwarded(IncomingChannel incoming) {
  Entry* entry = find(incoming.request());
  if (entry) return entry->handler->on_incoming(std::move(incoming));
  unknown_++;
  log::debug("{}: nobody listens on {}", mux_.id(), incoming.request().describe());
  incoming.refuse(ssh::kOpenAdministrativelyProhibited, "not requested");
}

RemoteListeners::Entry* RemoteListeners::find(const PeerOpen& request) {
  if (const auto* tcpip = std::get_if<ForwardedTcpip>(&request.specific)) return find_tcp(*tcpip);
  const auto* streamlocal = std::get_if<ForwardedStreamlocal>(&request.specific);
  auto name = streamlocal ? names_.find(Name(0, streamlocal->path)) : names_.end();
  return name == names_.end() ? nullptr : listening(name->second);
}

// By port, and by address as it was asked for; failing that, by what the address reaches; and who listens on
// all addresses takes what came to any of them.
RemoteListeners::Entry* RemoteListeners::find_tcp(const ForwardedTcpip& request) {
  std::string address = request.address == "*" ? std::string() : request.address;
  if (auto exact = names_.find(Name(request.port, address)); exact != names_.end()) {
    if (Entry* entry = listening(exact->second)) return entry;
  }
  Reach reach = reach_of(address);
  Entry* of_all = nullptr;
  for (auto it = names_.lower_bound(Name(request.port, std::string()));
       it != names_.end() && it->first.first == request.port; ++it) {
    Reach its = reach_of(it->first.second);
    Entry* entry = listening(it->second);
    if (entry && its == reach && its != Reach::kOther) return entry;
    if (entry && its == Reach::kAll) of_all = entry;
  }
  return of_all;
}

RemoteListeners::Entry* RemoteListeners::listening(Id id) {
  auto found = entries_.find(id);
  return found != entries_.end() && found->second.state == State::kListening ? &found->second : nullptr;
}

}  // namespace jump
