#include "control/methods.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include "base/shell_quoted.h"
#include "config/config_file.h"
#include "control/host_way.h"
#include "control/method_help.h"
#include "control/observe.h"
#include "control/status.h"
#include "forward/spare_channels.h"

namespace jump {
namespace {

using namespace proto;  // NOLINT: this file is all about its messages

// What a request that ran out of time was waiting for may have been a person.
Error still_asked(const MethodContext& context, const std::string& host, Error error) {
  if (error.code != Errc::kTimeout || !context.interactions || !context.interactions->asks_about(host))
    return error;
  error.message += ": its login waits for a person's answer";
  error.hint =
      "answer where it is asked, or log in from a terminal with more time: jumpctl --timeout 300 connect " +
      shell_quoted(host);
  return error;
}

void join_interactions(const MethodContext& context, Peer* peer, Interactions::Scope scope) {
  if (!context.interactions || !peer) return;
  peer->keep(
      context.interactions->join(peer->id(), scope, [peer](const std::string& line) { peer->notify(line); }));
}

void hello(const MethodContext& context, const HelloParams& params, const Reply<HelloResult>& reply) {
  Result<int> version = negotiate(params);
  if (!version) return reply(version.error());
  HelloResult result = context.identity;
  result.protocol = *version;
  Peer* peer = reply.peer();
  reply(std::move(result));
  const auto& can = params.capabilities;
  if (std::find(can.begin(), can.end(), kInteractionsCapability) == can.end()) return;
  join_interactions(context, peer, Interactions::Scope::kOwnRequests);
}

void connect_host(const MethodContext& context, const HostConnectParams& params,
                  const Reply<HostConnectResult>& reply) {
  if (Status may = may_change(context); !may) return reply(may.error());
  Result<Host*> found = context.hosts.get(params.host);
  if (!found) return reply(found.error());
  Host* host = *found;
  const bool existing = host->ready();
  const std::uint64_t logins = host->connection_logins();
  if (existing) host->question();  // that it was there a moment ago is no answer
  wait_as_asker(context, host->name(), reply);
  reply.keep(host->acquire(Host::Asker::kUser, login_wait(context, params.timeout),
                           [context, host, existing, logins, reply](const Result<Mux*>& mux) {
                             if (!mux) return reply(still_asked(context, host->name(), mux.error()));
                             const bool same = existing && host->connection_logins() == logins;
                             reply(HostConnectResult{host_status(*host, context.io.now()), same});
                           }));
}

void disconnect_host(const MethodContext& context, const HostDisconnectParams& params,
                     const Reply<Empty>& reply) {
  Status ended = context.hosts.disconnect(params.host, Error{Errc::kClosed, "disconnected by user", {}});
  if (!ended) return reply(ended.error());
  reply(Empty{});
}

void diagnose_host(const MethodContext& context, const HostDiagnoseParams& params,
                   const Reply<DiagnosisReport>& reply) {
  if (Status may = may_change(context); !may) return reply(may.error());
  const std::string name = context.doctor->next_name(params.host);
  context.doctor->set_bastions(context.hosts.serving());
  wait_as_asker(context, name, reply);
  auto started = context.doctor->diagnose(params.host, context.hosts.members(params.host), name,
                                          login_wait(context, params.timeout),
                                          [reply](DiagnosisReport result) { reply(std::move(result)); });
  if (!started) return reply(started.error());
  reply.keep(*std::move(started));
  // It costs logins, and perhaps a person's attention, for an answer that nobody may read.
  reply.on_input_end([reply] {
    reply(Error{Errc::kClosed, "given up: the client closed its side before the diagnosis was done",
                "keep the connection open until the answer has come"});
  });
}

// As a reload would read it now.
Status read_config(const std::string& file) {
  auto read = ConfigFile{file}.read();
  const auto* errors = std::get_if<ConfigErrors>(&read);
  if (!errors) return {};
  return Error{Errc::kInvalid, errors->front().to_string(file), {}};
}

void diagnose_agent(const MethodContext& context, const Reply<DiagnosisReport>& reply) {
  AgentFacts facts;
  facts.agent = context.agent_status();
  for (const auto& [name, host] : context.hosts.all())
    facts.hosts.push_back(host_status(*host, context.io.now()));
  if (const std::string& file = facts.agent.config; !file.empty())
    facts.read_config = [file] { return read_config(file); };
  reply.keep(context.doctor->diagnose_agent(std::move(facts),
                                            [reply](DiagnosisReport result) { reply(std::move(result)); }));
}

void bind_doctor(Dispatcher& dispatcher, const MethodContext& context) {
  dispatcher.bind(method::kHostDiagnose,
                  [context](const HostDiagnoseParams& params, const Reply<DiagnosisReport>& reply) {
                    diagnose_host(context, params, reply);
                  });
  dispatcher.bind(method::kAgentDiagnose, [context](const Empty&, const Reply<DiagnosisReport>& reply) {
    diagnose_agent(context, reply);
  });
}

// What is asked for, without its host.
Result<ForwardRequest> forward_request(const ForwardOpenParams& params) {
  const auto kind = forward_kind_of(params.kind);
  if (!kind) {
    return Error{Errc::kInvalid, "there is no kind of forward '" + params.kind + "'",
                 "local, remote or dynamic"};
  }
  if (params.hold && params.persist) {
    return Error{Errc::kInvalid, "a forward cannot both end with its client and outlive the agent",
                 "leave out hold or persist"};
  }
  Result<ForwardRequest> request = ForwardRequest::parse(*kind, params.spec);
  if (!request) return request;
  static_assert(proto::kMaxPrewarm == SpareChannels::kMax);
  request->prewarm = params.prewarm.value_or(0);
  if (request->prewarm > SpareChannels::kMax)
    return Error{Errc::kInvalid, "prewarm is at most " + std::to_string(SpareChannels::kMax), {}};
  if (request->prewarm > 0 && request->kind != ForwardKind::kLocal)
    return Error{Errc::kInvalid, "prewarm is for local forwards: the others have no one target there", {}};
  request->name = params.name;
  return request;
}

// The client is told once the forward is safe on disk, if that is wanted.
void answer_opened(const MethodContext& context, const Forwards::Opened& opened, Lifetime lifetime,
                   const Reply<ForwardOpenResult>& reply) {
  ForwardOpenResult result{forward_status(*opened.wanted, context.io.now()), opened.existing};
  if (lifetime == Lifetime::kHeld) {
    Peer* peer = reply.peer();
    if (peer) peer->keep(context.forwards.hold(*opened.wanted));
    result.forward.held = opened.wanted->holders;
  }
  if (lifetime != Lifetime::kPersistent) return reply(std::move(result));
  context.persistence->when_saved([result = std::move(result), reply](const Status& saved) {
    if (saved) return reply(result);
    const std::string& id = result.forward.id;
    reply(saved.error().context("forward " + id + " is open, but would not come back after a restart"));
  });
}

void begin_forward(const MethodContext& context, const ForwardRequest& request, Lifetime lifetime,
                   const Reply<ForwardOpenResult>& reply) {
  wait_as_asker(context, request.via, reply);
  reply.keep(context.forwards.open(request, lifetime,
                                   [context, lifetime, reply](const Result<Forwards::Opened>& opened) {
                                     if (!opened) return reply(opened.error());
                                     answer_opened(context, *opened, lifetime, reply);
                                   }));
}

void open_forward(const MethodContext& context, const ForwardOpenParams& params,
                  const Reply<ForwardOpenResult>& reply) {
  if (Status may = may_change(context); !may) return reply(may.error());
  Result<ForwardRequest> parsed = forward_request(params);
  if (!parsed) return reply(parsed.error());
  ForwardRequest request = *std::move(parsed);
  Result<RouteChoice> route = route_of(context, params.via, request.far_target());
  if (!route) return reply(route.error());
  request.via = route->via;
  request.via_rule = route->rule;
  request.timeout = login_wait(context, params.timeout);
  const Lifetime lifetime = params.hold      ? Lifetime::kHeld
                            : params.persist ? Lifetime::kPersistent
                                             : Lifetime::kUntilClosed;
  if (lifetime != Lifetime::kPersistent) return begin_forward(context, request, lifetime, reply);
  if (!context.persistence) return reply(Error{Errc::kUnsupported, "this agent keeps no state file", {}});
  context.persistence->when_read([context, request, lifetime, reply](const Status& possible) {
    if (!possible) return reply(possible.error());
    begin_forward(context, request, lifetime, reply);
  });
}

void close_forward(const MethodContext& context, const ForwardCloseParams& params,
                   const Reply<ForwardCloseResult>& reply) {
  if (Status may = may_change(context); !may) return reply(may.error());
  Result<const WantedForward*> wanted = context.forwards.find(params.forward);
  if (!wanted) return reply(wanted.error());
  ForwardCloseResult result{forward_status(**wanted, context.io.now())};
  const bool saved = (*wanted)->persistent;
  context.forwards.close(*wanted);
  if (!saved || !context.persistence) return reply(result);
  context.persistence->when_saved([result = std::move(result), reply](const Status& outcome) {
    if (outcome) return reply(result);
    reply(outcome.error().context("forward " + result.forward.id +
                                  " is closed, but would come back after a restart"));
  });
}

void reload(const MethodContext& context, const Reply<AgentReloadResult>& reply) {
  if (Status may = may_change(context); !may) return reply(may.error());
  if (!context.reload) return reply(Error{Errc::kUnsupported, "this agent has no config file", {}});
  context.reload([reply](const Result<ReloadOutcome>& outcome) {
    if (!outcome) return reply(outcome.error());
    const Upkeep::Outcome& upkeep = outcome->upkeep;
    reply(AgentReloadResult{outcome->file, upkeep.opened, upkeep.closed, upkeep.kept, upkeep.connecting,
                            upkeep.disconnected, outcome->needs_restart});
  });
}

RouteListResult routes(const AgentConfig& config) {
  RouteListResult list;
  list.default_via = config.default_via;
  for (const RouteRule& rule : config.routes.routes()) {
    RouteInfo& route = list.routes.emplace_back();
    route.via = rule.via;
    for (const RouteRule::To& to : rule.to) route.to.push_back(to.pattern.text());
  }
  return list;
}

void find_way(const MethodContext& context, const HostWayParams& params, const Reply<HostWayResult>& reply) {
  reply.keep(std::make_unique<HostWay>(context.hosts, params.host,
                                       [reply](const Result<std::vector<std::string>>& way) {
                                         if (!way) return reply(way.error());
                                         reply(HostWayResult{*way});
                                       }));
}

StatusResult status(const MethodContext& context) {
  EventsSnapshot now =
      observe(context.hosts, context.forwards, context.interactions, context.sessions, context.io.now());
  return {context.agent_status(), std::move(now.hosts), std::move(now.forwards), std::move(now.interactions),
          std::move(now.sessions)};
}

void bind_events(Dispatcher& dispatcher, EventFeed& events) {
  dispatcher.bind(method::kEventsSubscribe,
                  [&events](const EventsSubscribeParams& params, const Reply<EventsSubscribeResult>& reply) {
                    events.subscribe(params, reply);
                  });
  dispatcher.bind(method::kEventsUnsubscribe,
                  [&events](const Empty&, const Reply<Empty>& reply) { events.unsubscribe(reply); });
}

void bind_interactions(Dispatcher& dispatcher, const MethodContext& context) {
  Interactions& interactions = *context.interactions;
  dispatcher.bind(method::kInteractionSubscribe, [context](const Empty&, const Reply<Empty>& reply) {
    Peer* peer = reply.peer();
    reply(Empty{});
    join_interactions(context, peer, Interactions::Scope::kAll);
  });
  dispatcher.bind(method::kInteractionClaim,
                  [&interactions](const InteractionClaimParams& params, const Reply<Interaction>& reply) {
                    if (Peer* peer = reply.peer()) reply(interactions.claim(peer->id(), params.id));
                  });
  dispatcher.bind(method::kInteractionRespond, [&interactions](InteractionRespondParams& params,
                                                               const Reply<Empty>& reply) {
    Peer* peer = reply.peer();
    if (!peer) return;
    Status done = params.cancelled ? interactions.decline(peer->id(), params.id)
                                   : interactions.respond(peer->id(), params.id, std::move(params.answers));
    if (!done) return reply(done.error());
    reply(Empty{});
  });
  dispatcher.bind(method::kInteractionDecline,
                  [&interactions](const InteractionDeclineParams& params, const Reply<Empty>& reply) {
                    Peer* peer = reply.peer();
                    if (!peer) return;
                    Status done = interactions.decline(peer->id(), params.id, params.reason.value_or(""));
                    if (!done) return reply(done.error());
                    reply(Empty{});
                  });
}

}  // namespace

void bind_methods(Dispatcher& dispatcher, const MethodContext& context) {
  dispatcher.bind(method::kHello, [context](const HelloParams& params, const Reply<HelloResult>& reply) {
    hello(context, params, reply);
  });
  dispatcher.bind(method::kStatus,
                  [context](const Empty&, const Reply<StatusResult>& reply) { reply(status(context)); });
  dispatcher.bind(method::kHostConnect,
                  [context](const HostConnectParams& params, const Reply<HostConnectResult>& reply) {
                    connect_host(context, params, reply);
                  });
  dispatcher.bind(method::kHostDisconnect,
                  [context](const HostDisconnectParams& params, const Reply<Empty>& reply) {
                    disconnect_host(context, params, reply);
                  });
  dispatcher.bind(method::kHostWay,
                  [context](const HostWayParams& params, const Reply<HostWayResult>& reply) {
                    find_way(context, params, reply);
                  });
  dispatcher.bind(method::kRouteList, [context](const Empty&, const Reply<RouteListResult>& reply) {
    reply(routes(context.config));
  });
  dispatcher.bind(method::kForwardOpen,
                  [context](const ForwardOpenParams& params, const Reply<ForwardOpenResult>& reply) {
                    open_forward(context, params, reply);
                  });
  dispatcher.bind(method::kForwardClose,
                  [context](const ForwardCloseParams& params, const Reply<ForwardCloseResult>& reply) {
                    close_forward(context, params, reply);
                  });
  dispatcher.bind(method::kForwardList, [context](const Empty&, const Reply<ForwardListResult>& reply) {
    reply(ForwardListResult{
        observe(context.hosts, context.forwards, context.interactions, nullptr, context.io.now()).forwards});
  });
  if (context.interactions) bind_interactions(dispatcher, context);
  if (context.doctor) bind_doctor(dispatcher, context);
  if (context.events) bind_events(dispatcher, *context.events);
  dispatcher.bind(method::kAgentReload,
                  [context](const Empty&, const Reply<AgentReloadResult>& reply) { reload(context, reply); });
  dispatcher.bind(method::kAgentShutdown,
                  [context](const AgentShutdownParams& params, const Reply<AgentShutdownResult>& reply) {
                    reply(context.shutdown(params));
                  });
}

}  // namespace jump
