#include "forward/forwards.h"

#include <utility>

#include "base/log.h"
#include "base/printable.h"

namespace jump {

namespace {

// A name must not be taken for an id, and has to fit a table's column.
Status check_name(const std::string& name) {
  constexpr std::size_t kMaxName = 64;
  bool id = name.size() > 1 && name[0] == 'f' && name.find_first_not_of("0123456789", 1) == std::string::npos;
  bool plain = printable(name, kMaxName) == name;
  if (!id && plain) return {};
  return Error{Errc::kInvalid, "'" + printable(name, kMaxName) + "' cannot be a forward's name",
               "a name has at most 64 printable ASCII characters and is not an id such as f1"};
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

Result<Host*> Forwards::choose_host(const std::string& via) {
  return via.empty() ? hosts_.only_connected() : hosts_.get(via);
}

std::unique_ptr<Operation> Forwards::open(const ForwardRequest& request, OpenDone done) {
  Result<Host*> host = choose_host(request.via);
  if (!host) return done(host.error()), nullptr;
  Result<WantedForward*> wanted = find_or_listen(request, **host);
  if (!wanted) return done(wanted.error()), nullptr;
  if ((*wanted)->established) return done(Opened{*wanted, true}), nullptr;
  auto opening = std::make_unique<Opening>(*this, **wanted, std::move(done));
  opening->start(**host, request.timeout);
  return opening;
}

Result<WantedForward*> Forwards::find_or_listen(const ForwardRequest& request, Host& host) {
  WantedForward* same = find_same(request, host);
  if (same && (request.name.empty() || request.name == same->name)) return same;
  if (Status name = check_name(request.name); !name) return name.error();
  for (const WantedForward& each : forwards_) {
    if (request.name.empty() || each.name != request.name) continue;
    const std::string& id = each.forward->id();
    return Error{Errc::kInUse, "the name '" + request.name + "' belongs to forward " + id,
                 "choose another, or: jumpctl close " + id};
  }
  if (forwards_.size() >= kMaxForwards) {
    return Error{Errc::kLimit, "there are " + std::to_string(kMaxForwards) + " forwards already", {}};
  }
  WantedForward wanted;
  wanted.name = request.name;
  wanted.spec = request.spec;
  wanted.forward = std::make_unique<LocalForward>(io_, host, "f" + std::to_string(next_id_), request.listen,
                                                  request.target, request.prewarm, limits_);
  if (Status listening = wanted.forward->listen(); !listening) {
    return explain_conflict(request.listen, listening.error());
  }
  next_id_++;
  forwards_.push_back(std::move(wanted));
  return &forwards_.back();
}

WantedForward* Forwards::find_same(const ForwardRequest& request, const Host& host) {
  bool any_port =
      !request.listen.is_unix() && request.listen.port == 0;  // each such request is a new forward
  if (any_port) return nullptr;
  for (WantedForward& each : forwards_) {
    const LocalForward& forward = *each.forward;
    if (forward.wanted() == request.listen && forward.target() == request.target &&
        &forward.host() == &host) {
      return &each;
    }
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

void Forwards::close(const WantedForward* wanted) {
  log::info("{}: closed", wanted->forward->id());
  forwards_.remove_if([&](const WantedForward& each) { return &each == wanted; });
}

}  // namespace jump
