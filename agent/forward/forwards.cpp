#include "forward/forwards.h"

#include <utility>

#include "base/log.h"

namespace jump {

namespace {

void add(ListenerStats& sum, const ListenerStats& more) {
  sum.accepted += more.accepted;
  sum.turned_away += more.turned_away;
  sum.pauses += more.pauses;
}

}  // namespace

// One request that waits for the forward's host. Several may wait for the same forward.
class Forwards::Opening final : public Operation {
 public:
  Opening(Forwards& forwards, WantedForward& wanted, OpenDone done)
      : forwards_(forwards), id_(wanted.forward->id()), done_(std::move(done)) {
    wanted.openers++;
  }
  ~Opening() override {
    if (done_) forwards_.opener_left(id_);
  }

  void start(Host& host, Duration timeout) {
    waiting_ = host.acquire(Host::Asker::kUser, timeout, [this](Result<Mux*> mux) { finish(mux); });
  }

 private:
  void finish(const Result<Mux*>& mux) {
    OpenDone done = std::exchange(done_, nullptr);
    WantedForward* wanted = forwards_.find_id(id_);
    if (!wanted) return done(Error{Errc::kClosed, "the forward was closed while it was being opened", {}});
    bool existing = wanted->established;
    if (mux) {
      wanted->established = true;
      wanted->forward->prewarm();
    }
    forwards_.opener_left(id_);
    if (!mux) return done(mux.error());
    if (!existing) {
      log::info("{}: {} -> {} via {}", id_, wanted->forward->local().to_string(),
                wanted->forward->target().to_string(), wanted->forward->host().name());
    }
    done(Opened{wanted, existing});
  }

  Forwards& forwards_;
  const std::string id_;
  OpenDone done_;  // null once answered
  std::unique_ptr<Operation> waiting_;
};

Forwards::Forwards(Io& io, Hosts& hosts, const ForwardLimits& limits)
    : io_(io), hosts_(hosts), limits_(limits), rebind_timer_(io.timer([this] { rebind(); })) {}

void Forwards::set_limits(const ForwardLimits& limits, std::size_t max_forwards) {
  limits_ = limits;
  max_forwards_ = max_forwards;
}

std::unique_ptr<Operation> Forwards::open(const ForwardRequest& request, OpenDone done) {
  Result<Host*> host = hosts_.get(request.via);
  if (!host) return done(host.error()), nullptr;
  Result<WantedForward*> wanted = find_or_listen(request, **host);
  if (!wanted) return done(wanted.error()), nullptr;
  (*wanted)->by_client = true;
  if ((*wanted)->established) return done(Opened{*wanted, true}), nullptr;
  auto opening = std::make_unique<Opening>(*this, **wanted, std::move(done));
  opening->start(**host, request.timeout);
  return opening;
}

Result<WantedForward*> Forwards::find_or_listen(const ForwardRequest& request, Host& host) {
  WantedForward* same = find_same(request, host);
  if (same && (request.name.empty() || request.name == same->name)) return same;
  if (Status room = check_room(request); !room) return room.error();
  WantedForward& wanted = insert(request, host);
  if (Status bound = bind(wanted); !bound) {
    forwards_.pop_back();
    next_id_--;  // nobody has seen it
    return bound.error();
  }
  return &wanted;
}

Status Forwards::check_room(const ForwardRequest& request) const {
  if (Status name = check_forward_name(request.name); !name) return name;
  if (forwards_.size() < max_forwards_) return {};
  return Error{Errc::kLimit, "there are " + std::to_string(max_forwards_) + " forwards already", {}};
}

WantedForward& Forwards::insert(const ForwardRequest& request, Host& host) {
  WantedForward wanted;
  wanted.name = request.name;
  wanted.spec = request.spec;
  wanted.via_rule = request.via_rule;
  wanted.forward = std::make_unique<LocalForward>(io_, host, "f" + std::to_string(next_id_++), request.listen,
                                                  request.target, request.prewarm, limits_);
  forwards_.push_back(std::move(wanted));
  return forwards_.back();
}

// Takes the name and the port. The name of one that cannot listen yet is not its own yet, either.
Status Forwards::bind(WantedForward& wanted) {
  for (const WantedForward& each : forwards_) {
    if (&each == &wanted || wanted.name.empty() || each.name != wanted.name || each.unbound) continue;
    const std::string& id = each.forward->id();
    return Error{Errc::kInUse, "the name '" + wanted.name + "' belongs to forward " + id,
                 "choose another, or: jumpctl close " + id};
  }
  Status listening = wanted.forward->listen();
  if (!listening) return explain_conflict(wanted.forward->wanted(), listening.error());
  return {};
}

bool Forwards::keep(const ForwardRequest& request) {
  if (WantedForward* there = find_configured(request)) {
    there->via_rule = request.via_rule;  // its line may have moved
    return false;
  }
  Result<Host*> host = hosts_.get(request.via);
  Status room = host ? check_room(request) : Status(host.error());
  if (!room) return log::error("forward {} of the config file: {}", request.spec, room.error().message), false;
  WantedForward* same = find_same(request, **host);
  if (same && !same->configured && (request.name.empty() || request.name == same->name)) {
    same->configured = request;
    same->established = true;
    return true;
  }
  WantedForward& wanted = insert(request, **host);
  wanted.configured = request;
  wanted.established = true;
  if (Status bound = bind(wanted); !bound) {
    wanted.unbound = bound.error();
    wanted.unbound_since = io_.now();
    log::warn("{}: {} is not open yet: {}", wanted.forward->id(), request.spec, bound.error().message);
    rebind_timer_->start(kRebindGap);
  } else {
    log::info("{}: {} -> {} via {} (config file)", wanted.forward->id(), wanted.forward->local().to_string(),
              request.target.to_string(), request.via);
  }
  return true;
}

void Forwards::rebind() {
  bool again = false;
  for (WantedForward& each : forwards_) {
    if (!each.unbound) continue;
    if (Status bound = bind(each); !bound) {
      each.unbound = bound.error();
      again = true;
      continue;
    }
    each.unbound.reset();
    each.forward->prewarm();
    log::info("{}: {} is open now", each.forward->id(), each.spec);
  }
  if (again) rebind_timer_->start(kRebindGap);
}

bool Forwards::release(const ForwardRequest& request) {
  WantedForward* wanted = find_configured(request);
  if (!wanted) return false;
  wanted->configured.reset();
  if (wanted->by_client) return false;
  close(wanted);
  return true;
}

void Forwards::prewarm(const Host& host) {
  for (WantedForward& each : forwards_) {
    if (&each.forward->host() == &host && each.established && !each.unbound) each.forward->prewarm();
  }
}

WantedForward* Forwards::find_same(const ForwardRequest& request, const Host& host) {
  bool any_port =
      !request.listen.is_unix() && request.listen.port == 0;  // each such request is a new forward
  if (any_port) return nullptr;
  for (WantedForward& each : forwards_) {
    const LocalForward& forward = *each.forward;
    if (each.unbound) continue;
    if (forward.wanted() == request.listen && forward.target() == request.target &&
        &forward.host() == &host) {
      return &each;
    }
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
  for (WantedForward& each : forwards_) {
    if (each.forward->id() == id) return &each;
  }
  return nullptr;
}

void Forwards::opener_left(const std::string& id) {
  WantedForward* wanted = find_id(id);
  if (wanted && --wanted->openers == 0 && !wanted->established) close(wanted);
}

// A port that one of our own forwards holds is named by that forward.
Error Forwards::explain_conflict(const Endpoint& listen, Error error) const {
  if (error.code != Errc::kInUse) return error;
  for (const WantedForward& each : forwards_) {
    if (each.forward->state() == LocalForward::State::kStarting) continue;  // it has no port yet
    Endpoint local = each.forward->local();
    bool same = listen.is_unix() ? local.path == listen.path : !local.is_unix() && local.port == listen.port;
    if (!same) continue;
    const std::string& id = each.forward->id();
    error.message = listen.to_string() + " is in use by forward " + id + " (" + local.to_string() + " -> " +
                    each.forward->target().to_string() + " via " + each.forward->host().name() + ")";
    error.hint = "close it first: jumpctl close " + id;
    return error;
  }
  if (error.hint.empty()) error.hint = "choose another port, or 0 to have one chosen";
  return error;
}

Result<const WantedForward*> Forwards::find(const std::string& what) const {
  const WantedForward* by_spec = nullptr;
  for (const WantedForward& each : forwards_) {
    if (each.forward->id() == what || (!what.empty() && each.name == what))
      return &each;  // no name looks like an id
    if (each.spec != what) continue;
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

void Forwards::close(const WantedForward* wanted) {
  log::info("{}: closed", wanted->forward->id());
  add(past_listeners_, wanted->forward->listener_stats());
  forwards_.remove_if([&](const WantedForward& each) { return &each == wanted; });
}

}  // namespace jump
