#include "control/session_methods.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/terminal.h"
#include "control/method_help.h"
#include "control/session_wishes.h"
#include "session/framed_streams.h"
#include "session/session.h"
#include "session/session_facts.h"
#include "session/stream_relay.h"
#include "stream/joined_stream.h"

namespace jump {
namespace {

using namespace proto;  // NOLINT: this file is all about its messages

// Cancels what was begun for a request whose client goes before it is answered.
class OnDrop final : public Operation {
 public:
  explicit OnDrop(std::function<void()> call) : call_(std::move(call)) {}
  ~OnDrop() override { call_(); }

 private:
  const std::function<void()> call_;
};

}  // namespace

// One session or stream, as long as it lasts.
class SessionMethods::Served : public Sessions::Member {
 public:
  explicit Served(SessionMethods& methods) : methods_(methods) {}
  virtual ~Served() = default;

  Status enter() {
    auto joined = methods_.book_.join(*this);
    if (!joined) return joined.error();
    membership_ = *std::move(joined);
    return {};
  }
  std::string id() const { return membership_->id(); }
  const Peer* peer() const { return peer_; }
  // The client, as long as its connection lasts.
  void stay_with(Peer& peer) {
    peer_ = &peer;
    client_ = peer.id();
    stay_ = peer.stay([this] { leave(); });
  }
  // Nothing of it is wanted any more.
  void leave() {
    peer_ = nullptr;
    stay_.reset();
    methods_.remove(*this);
  }
  void end_now(const Error&) override { leave(); }

  std::list<std::shared_ptr<Served>>::iterator place;

 protected:
  SessionMethods& methods_;
  const std::shared_ptr<bool> here_ = std::make_shared<bool>();  // for calls that may come after its end
  std::unique_ptr<Sessions::Membership> membership_;
  std::unique_ptr<Operation> stay_;
  Peer* peer_ = nullptr;  // null: it is upgraded or detached, or has gone
  std::uint64_t client_ = 0;
};

void SessionMethods::add(std::shared_ptr<Served> served) {
  Served& added = *served;
  added.place = served_.insert(served_.end(), std::move(served));
}

void SessionMethods::remove(Served& served) {
  if (served.place == served_.end()) return;
  std::shared_ptr<Served> last = std::move(*served.place);
  served_.erase(served.place);
  last->place = served_.end();
  io_.dispose(std::move(last));
}

SessionMethods::~SessionMethods() = default;

// --- sessions
// -----------------------------------------------------------------------------------------------------------

class SessionMethods::ServedSession final : public Served {
 public:
  using Served::Served;

  // On the client's own descriptors. `told` sizes hold until the client tells others.
  void begin(Host& host, SessionRequest request, SessionStreams streams, Fd terminal, bool told,
             Duration timeout, const Reply<SessionOpenResult>& reply) {
    terminal_ = std::move(terminal);
    make(host, std::move(request), std::move(streams));
    start(timeout, reply, [this, told, reply](const SessionOpenResult& result) {
      Peer* peer = reply.peer();
      if (!peer) return leave();
      stay_with(*peer);
      reply(result);
      if (terminal_ && !told) resize({});  // its size may have changed during the login
    });
  }
  // Over the client's connection.
  void begin_upgraded(Host& host, SessionRequest request, Duration timeout,
                      const Reply<SessionOpenResult>& reply) {
    frames_ = std::make_unique<FramedStreams>(
        methods_.io_,
        [this](FramedStreams::Frame type, std::string_view text) { return on_control(type, text); },
        [this](const Error& error) { on_broken(error); }, [this] { leave(); });
    make(host, std::move(request), frames_->take_streams());
    start(timeout, reply, [this, reply](const SessionOpenResult& result) {
      reply.upgrade(result, [this, here = std::weak_ptr(here_)](std::unique_ptr<ByteStream> connection) {
        if (here.expired()) return;  // the agent has ended it meanwhile
        if (!connection) return leave();
        frames_->attach(std::move(connection));
      });
    });
  }

  void resize(const SessionResizeParams& params) {
    TerminalSize size = terminal_size(terminal_.get()).value_or(TerminalSize{});
    const auto set = [](std::uint32_t& to, const std::optional<std::uint64_t>& from) {
      if (from) to = static_cast<std::uint32_t>(std::min<std::uint64_t>(*from, UINT32_MAX));
    };
    set(size.columns, params.columns);
    set(size.rows, params.rows);
    set(size.width, params.width);
    set(size.height, params.height);
    session_->resize(size);
  }
  Status signal(const std::string& name) { return session_->signal(name); }

  // A session in frames has no control connection of its own: any client may tell it, and all are this
  // user's.
  bool may_be_told_by(const Peer* peer) const { return frames_ ? !starting_ : peer_ && peer_ == peer; }

  SessionFacts facts() const override {
    SessionFacts facts;
    fill_facts(*session_, facts);
    facts.client = client_;
    return facts;
  }

 private:
  void make(Host& host, SessionRequest request, SessionStreams streams) {
    session_ = std::make_unique<Session>(methods_.io_, host, id(), std::move(request), std::move(streams));
    session_->set_connections([this] { return methods_.book_.listing(session_->host().name()); });
  }

  void start(Duration timeout, const Reply<SessionOpenResult>& reply,
             std::function<void(const SessionOpenResult&)> running) {
    reply.keep(std::make_unique<OnDrop>([weak = std::weak_ptr<bool>(starting_), this] {
      if (!weak.expired()) leave();
    }));
    session_->start(
        Host::Asker::kUser, timeout,
        [this, reply, running = std::move(running)](const Result<Session::Started>& started) {
          starting_.reset();
          if (started) return running({id(), started->terminal});
          reply(started.error());
          leave();
        },
        [this](const SessionEnd& end) { on_ended(end); });
  }

  void on_ended(const SessionEnd& end) {
    const SessionEnded told = session_ended(id(), end);
    if (frames_) return frames_->finish(encode(told).dump());
    if (peer_) peer_->notify(encode_notification(notification::kSessionEnded, told));
    leave();
  }

  // The remote side is hung up on when the client has read why.
  void on_broken(const Error& error) {
    log::info("{}: {}", id(), error.message);
    SessionEnded told;
    told.session = id();
    told.error = error_info(error);
    frames_->finish(encode(told).dump());
  }

  Status on_control(FramedStreams::Frame type, std::string_view text) {
    Result<Json> json = Json::parse(text);
    if (!json) return json.error();
    if (type == FramedStreams::Frame::kResize) {
      auto params = decode<SessionResizeParams>(*json, "resize");
      if (!params) return params.error();
      resize(*params);
      return {};
    }
    auto params = decode<SessionSignalParams>(*json, "signal");
    if (!params) return params.error();
    // One too many is no reason to end the session, and a frame has no answer: `status` counts it.
    Status sent = check_signal(params->signal);
    if (sent) sent = signal(params->signal);
    if (!sent) log::info("{}: {}", id(), sent.error().message);
    return {};
  }

  std::shared_ptr<bool> starting_ = std::make_shared<bool>();  // until the request is answered
  Fd terminal_;                                                // whose size is asked for
  std::unique_ptr<FramedStreams> frames_;
  std::unique_ptr<Session> session_;  // goes before frames_, whose streams it has
};

void SessionMethods::open_session(const MethodContext& context, const SessionOpenParams& params,
                                  const Reply<SessionOpenResult>& reply) {
  std::vector<Fd> descriptors = reply.take_descriptors();
  Result<SessionRequest> request = session_request(params, descriptors);
  if (!request) return reply(request.error());
  if (params.upgrade) {
    if (Status may = reply.may_upgrade(); !may) return reply(may.error());
  } else if (descriptors.size() < kMaxDescriptors) {
    return reply(missing_descriptors("stdin, stdout and stderr", descriptors.size()));
  }
  Result<Host*> host = context.hosts.get(params.host);
  if (!host) return reply(host.error());
  if (Status may = may_serve(context, **host); !may) return reply(may.error());

  auto served = std::make_shared<ServedSession>(*this);
  ServedSession& session = *served;
  served->place = served_.end();
  if (params.upgrade) {
    if (Status entered = session.enter(); !entered) return reply(entered.error());
    add(std::move(served));
    wait_as_asker(context, (*host)->name(), reply);
    return session.begin_upgraded(**host, *std::move(request), login_wait(context, params.timeout), reply);
  }
  Fd terminal = request->terminal ? copy_of_terminal(descriptors) : Fd();
  Result<SessionStreams> streams = adopt_standard(io_, std::move(descriptors));
  if (!streams) return reply(streams.error());
  if (Status entered = session.enter(); !entered) return reply(entered.error());
  add(std::move(served));
  wait_as_asker(context, (*host)->name(), reply);
  const bool told = params.tty && (params.tty->columns || params.tty->rows);
  session.begin(**host, *std::move(request), *std::move(streams), std::move(terminal), told,
                login_wait(context, params.timeout), reply);
}

SessionMethods::ServedSession* SessionMethods::find(const std::string& id, const Peer* peer) {
  for (const auto& served : served_) {
    auto* session = dynamic_cast<ServedSession*>(served.get());
    if (session && session->may_be_told_by(peer) && session->id() == id) return session;
  }
  return nullptr;
}

void SessionMethods::resize(const SessionResizeParams& params, const Reply<Empty>& reply) {
  ServedSession* session = find(params.session, reply.peer());
  if (!session) return reply(no_such_session(params.session));
  session->resize(params);
  reply(Empty{});
}

void SessionMethods::signal(const SessionSignalParams& params, const Reply<Empty>& reply) {
  ServedSession* session = find(params.session, reply.peer());
  if (!session) return reply(no_such_session(params.session));
  if (Status named = check_signal(params.signal); !named) return reply(named.error());
  if (Status sent = session->signal(params.signal); !sent) return reply(sent.error());
  reply(Empty{});
}

// --- streams
// ------------------------------------------------------------------------------------------------------------

class SessionMethods::ServedStream final : public Served {
 public:
  using Served::Served;

  void begin(Host& via, Endpoint target, Duration timeout, Duration open_timeout, bool detach,
             std::unique_ptr<ByteStream> client, const Reply<StreamOpenResult>& reply) {
    relay_ = std::make_unique<StreamRelay>(methods_.io_, via, id(), std::move(target));
    client_stream_ = std::move(client);
    reply.keep(std::make_unique<OnDrop>([weak = std::weak_ptr<bool>(starting_), this] {
      if (!weak.expired()) leave();
    }));
    relay_->start(Host::Asker::kUser, timeout, open_timeout, [this, detach, reply](const Status& opened) {
      starting_.reset();
      if (!opened) {
        reply(opened.error());
        return leave();
      }
      run(detach, reply);
    });
  }

  SessionFacts facts() const override {
    SessionFacts facts;
    fill_facts(*relay_, facts);
    facts.client = client_;
    return facts;
  }

 private:
  void run(bool detach, const Reply<StreamOpenResult>& reply) {
    const StreamOpenResult result{id(), relay_->host().name()};
    if (!client_stream_) {
      return reply.upgrade(result,
                           [this, here = std::weak_ptr(here_)](std::unique_ptr<ByteStream> connection) {
                             if (here.expired()) return;  // the agent has ended it meanwhile
                             if (!connection) return leave();
                             carry(std::move(connection));
                           });
    }
    if (!detach) {
      Peer* peer = reply.peer();
      if (!peer) return leave();
      stay_with(*peer);
    }
    reply(result);
    carry(std::move(client_stream_));
  }

  void carry(std::unique_ptr<ByteStream> client) {
    relay_->carry(std::move(client), [this](const Error* error) {
      StreamEnded told{id(), {}};
      if (error) told.error = error_info(*error);
      if (peer_) peer_->notify(encode_notification(notification::kStreamEnded, told));
      leave();
    });
  }

  std::shared_ptr<bool> starting_ = std::make_shared<bool>();
  std::unique_ptr<ByteStream> client_stream_;  // until it is carried; null: the connection is to be it
  std::unique_ptr<StreamRelay> relay_;
};

void SessionMethods::open_stream(const MethodContext& context, const StreamOpenParams& params,
                                 const Reply<StreamOpenResult>& reply) {
  auto descriptors = std::make_shared<std::vector<Fd>>(reply.take_descriptors());
  Result<Endpoint> target = stream_target(params);
  if (!target) return reply(target.error());
  if (params.upgrade) {
    if (Status may = reply.may_upgrade(); !may) return reply(may.error());
  } else if (descriptors->empty()) {
    return reply(missing_descriptors("a socket, or one to read from and one to write to", 0));
  }
  // The only connected host is the last resort: where the target's own configuration names a way, that holds.
  const bool may_look = params.via.empty() && !target->is_unix();
  Result<RouteChoice> route =
      may_look ? choose_route(context.config, *target, {}) : route_of(context, params.via, *target);
  if (!route && may_look) {
    return reply.keep(context.hosts.resolve(target->host, [this, context, params, target = *target,
                                                           descriptors, reply](const Result<Route>& way) {
      if (way && way->steps.size() > 1) {
        Result<Host*> via = context.hosts.carrier_of(*way);
        if (!via) return reply(via.error());
        return begin_stream(context, params, **via, descriptors, reply);
      }
      Result<RouteChoice> last = route_of(context, {}, target);
      Result<Host*> via = last ? context.hosts.get(last->via) : Result<Host*>(last.error());
      if (!via) return reply(via.error());
      begin_stream(context, params, **via, descriptors, reply);
    }));
  }
  Result<Host*> via = route ? context.hosts.get(route->via) : Result<Host*>(route.error());
  if (!via) return reply(via.error());
  begin_stream(context, params, **via, descriptors, reply);
}

void SessionMethods::begin_stream(const MethodContext& context, const StreamOpenParams& params, Host& via,
                                  std::shared_ptr<std::vector<Fd>> descriptors,
                                  const Reply<StreamOpenResult>& reply) {
  if (Status may = may_serve(context, via); !may) return reply(may.error());
  std::unique_ptr<ByteStream> client;
  if (!params.upgrade) {
    Result<std::unique_ptr<ByteStream>> adopted = adopt_stream(io_, std::move(*descriptors));
    if (!adopted) return reply(adopted.error());
    client = *std::move(adopted);
  }
  auto served = std::make_shared<ServedStream>(*this);
  ServedStream& stream = *served;
  served->place = served_.end();
  if (Status entered = stream.enter(); !entered) return reply(entered.error());
  add(std::move(served));
  wait_as_asker(context, via.name(), reply);
  stream.begin(via, *stream_target(params), login_wait(context, params.timeout),
               context.config.forward_limits.open_timeout, params.detach, std::move(client), reply);
}

// --- the rest
// -----------------------------------------------------------------------------------------------------------

void SessionMethods::options(const MethodContext& context, const HostOptionsParams& params,
                             const Reply<HostOptionsResult>& reply) {
  if (const Host* host = context.hosts.find(params.host); host && host->ready() && host->spec())
    return reply(host_options(params.host, *host->spec()));
  reply.keep(context.hosts.resolve(params.host, [reply, name = params.host](const Result<Route>& way) {
    if (!way) return reply(way.error());
    reply(host_options(name, way->target()));
  }));
}

void SessionMethods::bind(Dispatcher& dispatcher, const MethodContext& context) {
  dispatcher.bind(method::kHostOptions,
                  [this, context](const HostOptionsParams& params, const Reply<HostOptionsResult>& reply) {
                    options(context, params, reply);
                  });
  dispatcher.bind(method::kSessionOpen,
                  [this, context](const SessionOpenParams& params, const Reply<SessionOpenResult>& reply) {
                    open_session(context, params, reply);
                  });
  dispatcher.bind(method::kSessionResize, [this](const SessionResizeParams& params,
                                                 const Reply<Empty>& reply) { resize(params, reply); });
  dispatcher.bind(method::kSessionSignal, [this](const SessionSignalParams& params,
                                                 const Reply<Empty>& reply) { signal(params, reply); });
  dispatcher.bind(method::kStreamOpen,
                  [this, context](const StreamOpenParams& params, const Reply<StreamOpenResult>& reply) {
                    open_stream(context, params, reply);
                  });
}

}  // namespace jump
