#include "control/methods.h"

#include <algorithm>
#include <optional>

#include "config/route_choice.h"
#include "control/status.h"

namespace jump {
namespace {

using namespace proto;  // NOLINT: this file is all about its messages

Duration login_wait(const MethodContext& context, const std::optional<double>& wanted) {
  if (!wanted) return context.config.login_wait;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*wanted));
}

// Who waits for a login is asked what the login needs.
template <class R>
void wait_as_asker(const MethodContext& context, const std::string& host, const Reply<R>& reply) {
  Peer* peer = reply.peer();
  if (context.interactions && peer) reply.keep(context.interactions->wait(peer->id(), host));
}

void join_interactions(const MethodContext& context, Peer* peer, Interactions::Scope scope) {
  if (!context.interactions || !peer) return;
  peer->keep(context.interactions->join(peer->id(), scope,
                                        [peer](const std::string& line) { peer->notify(line); }));
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
  Result<Host*> found = context.hosts.get(params.host);
  if (!found) return reply(found.error());
  Host* host = *found;
  bool existing = host->ready();
  wait_as_asker(context, host->name(), reply);
  reply.keep(host->acquire(Host::Asker::kUser, login_wait(context, params.timeout),
                           [&io = context.io, host, existing, reply](const Result<Mux*>& mux) {
                             if (!mux) return reply(mux.error());
                             reply(HostConnectResult{host_status(*host, io.now()), existing});
                           }));
}

void disconnect_host(const MethodContext& context, const HostDisconnectParams& params,
                     const Reply<Empty>& reply) {
  Status ended = context.hosts.disconnect(params.host, Error{Errc::kClosed, "disconnected by user", {}});
  if (!ended) return reply(ended.error());
  reply(Empty{});
}

// `via` is what the request names; empty: the config file's routes, or what is connected, decide.
Result<RouteChoice> route_of(const MethodContext& context, const std::string& via, const Endpoint& target) {
  if (!via.empty()) return RouteChoice{via, {}};
  return choose_route(context.config, target, context.hosts.connected());
}

void open_forward(const MethodContext& context, const ForwardOpenParams& params,
                  const Reply<ForwardOpenResult>& reply) {
  Result<ForwardRequest> parsed = ForwardRequest::parse(params.spec);
  if (!parsed) return reply(parsed.error());
  ForwardRequest request = *std::move(parsed);
  Result<RouteChoice> route = route_of(context, params.via, request.target);
  if (!route) return reply(route.error());
  request.via = route->via;
  request.via_rule = route->rule;
  request.name = params.name;
  request.prewarm = params.prewarm.value_or(0);
  if (request.prewarm > SpareChannels::kMax) {
    return reply(Error{Errc::kInvalid, "prewarm is at most " + std::to_string(SpareChannels::kMax), {}});
  }
  request.timeout = login_wait(context, params.timeout);
  wait_as_asker(context, request.via, reply);
  reply.keep(
      context.forwards.open(request, [&io = context.io, reply](const Result<Forwards::Opened>& opened) {
        if (!opened) return reply(opened.error());
        reply(ForwardOpenResult{forward_status(*opened->wanted, io.now()), opened->existing});
      }));
}

void close_forward(const MethodContext& context, const ForwardCloseParams& params,
                   const Reply<ForwardCloseResult>& reply) {
  // Specs are compared in their canonical form, so that any spelling of the same forward finds it.
  Result<ForwardRequest> spec = ForwardRequest::parse(params.forward);
  Result<const WantedForward*> wanted = context.forwards.find(spec ? spec->spec : params.forward);
  if (!wanted) return reply(wanted.error());
  ForwardCloseResult result{forward_status(**wanted, context.io.now())};
  context.forwards.close(*wanted);
  reply(result);
}

void reload(const MethodContext& context, const Reply<AgentReloadResult>& reply) {
  if (!context.reload) return reply(Error{Errc::kUnsupported, "this agent has no config file", {}});
  context.reload([reply](const Result<ReloadOutcome>& outcome) {
    if (!outcome) return reply(outcome.error());
    const Upkeep::Outcome& upkeep = outcome->upkeep;
    reply(AgentReloadResult{outcome->file, upkeep.opened, upkeep.closed, upkeep.kept, upkeep.connecting,
                            upkeep.disconnected, outcome->needs_restart});
  });
}

StatusResult status(const MethodContext& context) {
  StatusResult result;
  TimePoint now = context.io.now();
  result.agent = context.agent_status();
  for (const auto& [name, host] : context.hosts.all()) result.hosts.push_back(host_status(*host, now));
  result.forwards = forward_list(context.forwards, now).forwards;
  if (!context.interactions) return result;
  result.interactions = context.interactions->pending();
  for (HostStatus& host : result.hosts) {
    if (context.interactions->asks_about(host.host)) host.state = "waiting_user";
  }
  for (ForwardStatus& forward : result.forwards) {
    if (context.interactions->asks_about(forward.via)) forward.state = "waiting_user";
  }
  return result;
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
  dispatcher.bind(method::kInteractionRespond,
                  [&interactions](InteractionRespondParams& params, const Reply<Empty>& reply) {
                    Peer* peer = reply.peer();
                    if (!peer) return;
                    Status done = params.cancelled
                                      ? interactions.decline(peer->id(), params.id)
                                      : interactions.respond(peer->id(), params.id, std::move(params.answers));
                    if (!done) return reply(done.error());
                    reply(Empty{});
                  });
  dispatcher.bind(method::kInteractionDecline,
                  [&interactions](const InteractionDeclineParams& params, const Reply<Empty>& reply) {
                    Peer* peer = reply.peer();
                    if (!peer) return;
                    Status done = interactions.decline(peer->id(), params.id);
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
  dispatcher.bind(method::kForwardOpen,
                  [context](const ForwardOpenParams& params, const Reply<ForwardOpenResult>& reply) {
                    open_forward(context, params, reply);
                  });
  dispatcher.bind(method::kForwardClose,
                  [context](const ForwardCloseParams& params, const Reply<ForwardCloseResult>& reply) {
                    close_forward(context, params, reply);
                  });
  dispatcher.bind(method::kForwardList, [context](const Empty&, const Reply<ForwardListResult>& reply) {
    reply(forward_list(context.forwards, context.io.now()));
  });
  if (context.interactions) bind_interactions(dispatcher, context);
  dispatcher.bind(method::kAgentReload, [context](const Empty&, const Reply<AgentReloadResult>& reply) {
    reload(context, reply);
  });
  dispatcher.bind(method::kAgentShutdown, [context](const Empty&, const Reply<Empty>& reply) {
    reply(Empty{});
    context.shutdown();
  });
}

}  // namespace jump
