#include "forward/forwards.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <utility>

#include "base/log.h"
#include "forward/make_forward.h"

namespace jump {

namespace {

void add(ListenerStats& sum, const ListenerStats& more) {
  sum.accepted += more.accepted;
  sum.turned_away += more.turned_away;
  sum.pauses += more.pauses;
}

bool is_any_address(const std::string& host) { return host == "*" || host == "0.0.0.0" || host == "::"; }

// Listening on both at once is not possible. `bound` is a literal address, or a path.
bool collide(const Endpoint& wanted, const Endpoint& bound) {
  if (wanted.is_unix() || bound.is_unix()) return wanted.path == bound.path;
  const std::string host = wanted.host.empty() || wanted.host == "localhost" ? "127.0.0.1" : wanted.host;
  const bool meet =
      wanted.host == bound.host || host == bound.host || is_any_address(host) || is_any_address(bound.host);
  return meet && wanted.port == bound.port;
}

Error in_use_by(const std::string& what, const WantedForward& holder) {
  return {Errc::kInUse,
          what + " is in use by forward " + holder.id() + " (" + holder.forward->describe() + ")",
          "close it first: jumpctl close " + holder.id()};
}

}  // namespace

// One request for a forward: waits for its host, then for what there is to do there. Several may wait for the
// same forward.
class Forwards::Opening final : public Operation {
 public:
  Opening(Forwards& forwards, WantedForward& wanted, Lifetime lifetime, OpenDone done)
      : forwards_(forwards),
        id_(wanted.id()),
        existing_(wanted.established),
        lifetime_(lifetime),
        done_(std::move(done)) {
    wanted.openers++;
  }
  // The forward may end with it, which tells those who wait for it: nobody does any more.
  ~Opening() override {
    if (std::exchange(done_, nullptr)) leave(forwards_, id_);
  }

  void start(Host& host, Duration timeout) {
    waiting_ = host.acquire(Host::Asker::kUser, timeout, [this](const Result<Mux*>& mux) { on_host(mux); });
  }

 private:
  void on_host(const Result<Mux*>& mux) {
    if (!mux) return finish(mux.error());
    WantedForward* wanted = forwards_.find_id(id_);
    if (!wanted) return finish({});
    wanted->forward->establish([alive = std::weak_ptr<Opening*>(self_)](const Status& outcome) {
      if (auto opening = alive.lock()) (*opening)->finish(outcome);
    });
  }

  void finish(const Status& outcome) {
    OpenDone done = std::exchange(done_, nullptr);
    if (!done) return;
    Forwards& forwards = forwards_;
    const std::string id = id_;  // `done` may be the end of this
    WantedForward* wanted = forwards.find_id(id);
    if (!wanted) return done(Error{Errc::kClosed, "the forward was closed while it was being opened", {}});
    if (!outcome) {
      leave(forwards, id);
      return done(outcome.error());
    }
    if (!wanted->established) log::info("{}: {}", id, wanted->forward->describe());
    const bool existing = existing_ || wanted->established;
    wanted->established = true;
    if (lifetime_ != Lifetime::kHeld) wanted->by_client = true;
    if (lifetime_ == Lifetime::kPersistent) wanted->persistent = true;
    done(Opened{wanted, existing});
    leave(forwards, id);
    forwards.changed();
  }

  static void leave(Forwards& forwards, const std::string& id) {
    WantedForward* wanted = forwards.find_id(id);
    if (!wanted) return;
    wanted->openers--;
    forwards.close_if_unwanted(id);
  }

  Forwards& forwards_;
  const std::string id_;
  const bool existing_;
  const Lifetime lifetime_;
  OpenDone done_;  // null once answered
  std::unique_ptr<Operation> waiting_;
  const std::shared_ptr<Opening*> self_ = std::make_shared<Opening*>(this);
};

class Forwards::Hold final : public Operation {
 public:
  Hold(Forwards& forwards, std::string id) : forwards_(forwards), id_(std::move(id)) {
    forwards_.find_id(id_)->holders++;
  }
  ~Hold() override {
    WantedForward* wanted = forwards_.find_id(id_);
    if (!wanted) return;
    wanted->holders--;
    forwards_.close_if_unwanted(id_);
  }

 private:
  Forwards& forwards_;
  const std::string id_;
};

Forwards::Forwards(Io& io, Hosts& hosts, const ForwardLimits& limits)
    : io_(io),
      hosts_(hosts),
      limits_(limits),
      rebind_timer_(io.timer([this] { rebind(); })),
      rate_timer_(io.timer([this] { sample_rates(); })) {}

void Forwards::set_limits(const ForwardLimits& limits, std::size_t max_forwards) {
  limits_ = limits;
  max_forwards_ = max_forwards;
}

std::unique_ptr<Operation> Forwards::open(const ForwardRequest& request, Lifetime lifetime, OpenDone done) {
  if (ending_) return done(Error{Errc::kClosed, "the agent is ending", {}}), nullptr;
  Result<Host*> host = hosts_.get(request.via);
  if (!host) return done(host.error()), nullptr;
  Result<WantedForward*> wanted = find_or_listen(request, **host);
  if (!wanted) return done(wanted.error()), nullptr;
  auto opening = std::make_unique<Opening>(*this, **wanted, lifetime, std::move(done));
  opening->start(**host, request.timeout);
  return opening;
}

std::unique_ptr<Operation> Forwards::hold(const WantedForward& wanted) {
  return std::make_unique<Hold>(*this, wanted.id());
}

Result<WantedForward*> Forwards::find_or_listen(const ForwardRequest& request, Host& host) {
  WantedForward* same = find_same(request, host);
  if (same && (request.name.empty() || request.name == same->name())) {
    if (same->unbound) try_bind(*same);
    if (same->unbound) return *same->unbound;
    return same;
  }
  if (Status room = check_room(request); !room) return room.error();
  WantedForward& wanted = insert(request, host);
  if (Status bound = bind(wanted); !bound) {
    by_id_.erase(wanted.id());
    forwards_.pop_back();
    next_id_--;  // nobody has seen it
    return bound.error();
  }
  changed();
  return &wanted;
}

Status Forwards::check_room(const ForwardRequest& request) const {
  if (Status name = check_forward_name(request.name); !name) return name;
  if (forwards_.size() < max_forwards_) return {};
  return Error{Errc::kLimit, "there are " + std::to_string(max_forwards_) + " forwards already",
               "close some (jumpctl list), or raise limits.forwards in the config file"};
}

WantedForward& Forwards::insert(const ForwardRequest& request, Host& host) {
  return insert(request, host, "f" + std::to_string(next_id_++));
}

WantedForward& Forwards::insert(const ForwardRequest& request, Host& host, std::string id) {
  WantedForward wanted;
  wanted.via_rule = request.via_rule;
  wanted.forward = make_forward(io_, host, std::move(id), request, limits_);
  wanted.forward->on_connection([this] {
    if (std::exchange(sampling_, true)) return;
    sample_rates();  // from here on, not since it last moved
    sampling_ = true;
    rate_timer_->start(kRateGap);
  });
  wanted.forward->on_moved([this] { changed(); });
  forwards_.push_back(std::move(wanted));
  by_id_[forwards_.back().id()] = std::prev(forwards_.end());
  return forwards_.back();
}

// Takes the name and the port.
Status Forwards::bind(WantedForward& wanted) {
  if (Status name = check_name(wanted); !name) return name;
  if (Status remote = check_remote(wanted); !remote) return remote;
  if (Status path = check_path(wanted); !path) return path;
  Status listening = wanted.forward->listen();
  if (!listening) return explain_conflict(wanted.forward->request().listen, listening.error());
  return {};
}

// The name of one that cannot listen yet is not its own yet, either.
Status Forwards::check_name(const WantedForward& wanted) const {
  if (wanted.name().empty()) return {};
  for (const WantedForward& each : forwards_) {
    if (&each == &wanted || each.name() != wanted.name() || each.unbound || each.leaving) continue;
    return Error{Errc::kInUse, "the name '" + wanted.name() + "' belongs to forward " + each.id(),
                 "choose another, or: jumpctl close " + each.id()};
  }
  return {};
}

// The server's port may be ours already, for another target.
Status Forwards::check_remote(const WantedForward& wanted) const {
  const ForwardRequest& request = wanted.forward->request();
  if (!request.listens_there() || request.any_port()) return {};
  for (const WantedForward& each : forwards_) {
    const ForwardRequest& other = each.forward->request();
    if (&each == &wanted || each.unbound || each.leaving || !other.listens_there()) continue;
    if (&each.forward->host() == &wanted.forward->host() && other.listen == request.listen)
      return in_use_by(request.listen.to_string() + " on " + wanted.forward->host().name(), each);
  }
  return {};
}

// To find out whether a socket's name is stale is to connect to it; our own would take that for a client.
Status Forwards::check_path(const WantedForward& wanted) const {
  const ForwardRequest& request = wanted.forward->request();
  if (request.listens_there() || !request.listen.is_unix()) return {};
  const WantedForward* holder = listener_on(request.listen);
  return holder ? Status(in_use_by(request.listen.to_string(), *holder)) : Status();
}

bool Forwards::keep(const ForwardRequest& request) {
  if (WantedForward* there = find_configured(request)) {
    there->via_rule = request.via_rule;  // its line may have moved
    return false;
  }
  Result<Host*> host = hosts_.get(request.via);
  if (!host) {
    log::error("forward {} of the config file: {}", request.spec, host.error().message);
    return false;
  }
  WantedForward* same = find_same(request, **host);
  if (same && !same->configured && (request.name.empty() || request.name == same->name())) {
    same->configured = request;
    stay(*same);
    return true;
  }
  if (Status room = check_room(request); !room) {
    log::error("forward {} of the config file: {}", request.spec, room.error().message);
    return false;
  }
  WantedForward& wanted = insert(request, **host);
  wanted.configured = request;
  bind_or_wait(wanted, "config file");
  return true;
}

void Forwards::restore(const ForwardRequest& request) {
  Result<Host*> host = hosts_.get(request.via);
  WantedForward* same = host ? find_same(request, **host) : nullptr;
  if (host && !same) same = find_handed_over(request, **host);
  Status room = host ? Status() : Status(host.error());
  if (host && !same) room = check_room(request);
  if (!room) return log::error("persistent forward {}: {}", request.spec, room.error().message);
  WantedForward& wanted = same ? *same : insert(request, **host);
  wanted.by_client = wanted.persistent = true;
  wanted.handed_over = false;
  same ? stay(wanted) : bind_or_wait(wanted, "state file");
}

// From now on, whatever becomes of the request that may have begun it.
void Forwards::stay(WantedForward& wanted) {
  wanted.established = true;
  if (!wanted.unbound) wanted.forward->establish(nullptr);
}

void Forwards::adopt(const ForwardRequest& request, const std::string& id, bool persistent) {
  Result<Host*> host = hosts_.get(request.via);
  if (!host) return log::error("forward {} was not taken over: {}", request.spec, host.error().message);
  std::uint64_t number = 0;
  const char* end = id.data() + id.size();
  const bool good =
      id.starts_with('f') && std::from_chars(id.data() + 1, end, number).ptr == end && !find_id(id);
  if (good) next_id_ = std::max(next_id_, number + 1);
  WantedForward& wanted = good ? insert(request, **host, id) : insert(request, **host);
  wanted.by_client = true;
  wanted.persistent = wanted.handed_over = persistent;
  bind_or_wait(wanted, "taken over");
}

// It is to be there anyway.
void Forwards::bind_or_wait(WantedForward& wanted, const char* whose) {
  wanted.established = true;
  if (Status bound = bind(wanted); !bound) {
    wanted.unbound = bound.error();
    wanted.unbound_since = io_.now();
    log::warn("{}: {} is not open yet: {}", wanted.id(), wanted.spec(), bound.error().message);
    rebind_timer_->start(kRebindGap);
  } else {
    log::info("{}: {} ({})", wanted.id(), wanted.forward->describe(), whose);
    wanted.forward->establish(nullptr);
  }
  changed();
}

void Forwards::rebind() {
  bool again = false;
  for (WantedForward& each : forwards_) {
    if (each.unbound) try_bind(each);
    again |= each.unbound.has_value();
  }
  if (again) rebind_timer_->start(kRebindGap);
}

void Forwards::try_bind(WantedForward& wanted) {
  if (Status bound = bind(wanted); !bound) {
    wanted.unbound = bound.error();
    return;
  }
  wanted.unbound.reset();
  wanted.forward->establish(nullptr);
  log::info("{}: {} is open now", wanted.id(), wanted.spec());
  changed();
}

bool Forwards::release(const ForwardRequest& request) {
  WantedForward* wanted = find_configured(request);
  if (!wanted) return false;
  wanted->configured.reset();
  const std::string id = wanted->id();
  close_if_unwanted(id);
  return find_id(id) == nullptr;
}

std::vector<ForwardRequest> Forwards::persistent() const {
  std::vector<ForwardRequest> saved;
  for (const WantedForward& each : forwards_) {
    if (!each.persistent) continue;
    ForwardRequest request = each.forward->request();
    if (request.any_port() && !each.unbound) request.listen = each.forward->listening();
    request.via_rule = each.via_rule;
    saved.push_back(std::move(request));
  }
  return saved;
}

WantedForward* Forwards::find_same(const ForwardRequest& request, const Host& host) {
  if (request.any_port()) return nullptr;  // each such request is a new forward
  for (WantedForward& each : forwards_) {
    const ForwardRequest& other = each.forward->request();
    if (&each.forward->host() != &host || each.leaving) continue;
    if (other.kind == request.kind && other.listen == request.listen && other.target == request.target)
      return &each;
  }
  return nullptr;
}

// The port may be known to one of the two only: a server chose it after the other was written, or is away.
// Several may be alike; each entry of the state file is one of them.
WantedForward* Forwards::find_handed_over(const ForwardRequest& request, const Host& host) {
  for (WantedForward& each : forwards_) {
    const ForwardRequest& other = each.forward->request();
    if (!each.handed_over || &each.forward->host() != &host) continue;
    const bool alike = other.kind == request.kind && other.target == request.target &&
                       other.spec == request.spec && other.name == request.name;
    if (alike && (other.any_port() || request.any_port())) return &each;
  }
  return nullptr;
}

WantedForward* Forwards::find_configured(const ForwardRequest& request) {
  for (WantedForward& each : forwards_) {
    if (each.configured && each.configured->same_wish(request)) return &each;
  }
  return nullptr;
}

WantedForward* Forwards::find_id(const std::string& id) {
  const auto place = by_id_.find(id);
  return place == by_id_.end() ? nullptr : &*place->second;
}

void Forwards::close_if_unwanted(const std::string& id) {
  const WantedForward* wanted = find_id(id);
  if (!wanted || wanted->openers > 0 || ending_) return;
  const bool keeps = wanted->leaving || wanted->by_client || wanted->configured || wanted->holders > 0;
  if (!keeps || !wanted->established) close(wanted);
}

// Which of our own forwards listens there; null: none does.
const WantedForward* Forwards::listener_on(const Endpoint& place) const {
  for (const WantedForward& each : forwards_) {
    if (each.leaving || each.forward->request().listens_there()) continue;
    if (each.forward->state() == Forward::State::kStarting) continue;  // it has no port yet
    if (collide(place, each.forward->listening())) return &each;
  }
  return nullptr;
}

Error Forwards::explain_conflict(const Endpoint& listen, Error error) const {
  if (error.code != Errc::kInUse) return error;
  if (const WantedForward* holder = listener_on(listen)) return in_use_by(listen.to_string(), *holder);
  if (error.hint.empty()) error.hint = "choose another port, or 0 to have one chosen";
  return error;
}

Result<const WantedForward*> Forwards::find(const std::string& what) const {
  // What specs mean is compared, so that any spelling of the same forward finds it.
  std::map<ForwardKind, ForwardRequest> meanings;
  for (ForwardKind kind : {ForwardKind::kLocal, ForwardKind::kRemote, ForwardKind::kDynamic}) {
    Result<ForwardRequest> parsed = ForwardRequest::parse(kind, what);
    if (parsed) meanings[parsed->kind] = *parsed;
  }
  const WantedForward* by_spec = nullptr;
  for (const WantedForward& each : forwards_) {
    if (each.id() == what || (!what.empty() && each.name() == what))
      return &each;  // no name looks like an id
    if (each.leaving) continue;
    const ForwardRequest& request = each.forward->request();
    auto meant = meanings.find(request.kind);
    if (meant == meanings.end()) continue;
    const bool same = request.listen == meant->second.listen && request.target == meant->second.target;
    if (!same && each.spec() != meant->second.spec) continue;
    if (by_spec) {
      return Error{Errc::kInvalid, "several forwards were asked for as '" + what + "'",
                   "name one by its id: jumpctl list"};
    }
    by_spec = &each;
  }
  if (by_spec) return by_spec;
  return Error{Errc::kNotFound, "there is no forward '" + what + "'", "the forwards there are: jumpctl list"};
}

ListenerStats Forwards::listener_stats() const {
  ListenerStats sum = past_listeners_;
  for (const WantedForward& each : forwards_) add(sum, each.forward->listener_stats());
  return sum;
}

void Forwards::sample_rates() {
  bool moving = false;
  for (WantedForward& each : forwards_) {
    const ForwardCounters counters = each.forward->counters();
    each.rate_in.sample(counters.bytes_in, io_.now());
    each.rate_out.sample(counters.bytes_out, io_.now());
    moving |= counters.connections > 0 || each.rate_in.per_second() > 0 || each.rate_out.per_second() > 0;
  }
  drop_left();
  sampling_ = moving;
  if (moving) rate_timer_->start(kRateGap);
}

void Forwards::close(const WantedForward* wanted) {
  const auto place = by_id_.at(wanted->id());
  log::info("{}: closed", place->id());
  by_id_.erase(place->id());
  std::shared_ptr<Forward> forward = std::move(place->forward);
  forwards_.erase(place);
  add(past_listeners_, forward->listener_stats());
  forward->retire();
  io_.dispose(std::move(forward));  // it may be what is running now
  changed();
}

void Forwards::let_go(const WantedForward* wanted) {
  WantedForward& left = *by_id_.at(wanted->id());
  if (left.forward->counters().connections == 0) return close(wanted);
  log::info("{}: cancelled; connections that go on: {}", left.id(), left.forward->counters().connections);
  left.leaving = true;
  left.by_client = left.persistent = false;
  left.configured.reset();
  left.forward->stop_listening();
  sampling_ = true;
  rate_timer_->start(kRateGap);
  changed();
}

void Forwards::drop_left() {
  std::vector<const WantedForward*> done;
  for (const WantedForward& each : forwards_) {
    if (each.leaving && each.forward->counters().connections == 0) done.push_back(&each);
  }
  for (const WantedForward* each : done) close(each);
}

void Forwards::stop_listening() {
  ending_ = true;
  rebind_timer_->stop();
  for (WantedForward& each : forwards_) each.forward->stop_listening();
}

void Forwards::close_all() {
  std::list<WantedForward> all = std::move(forwards_);
  forwards_.clear();
  by_id_.clear();
  for (WantedForward& each : all) each.forward->retire();
}

}  // namespace jump
