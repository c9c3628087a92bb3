// What the handlers of several methods need: whether anything may be begun now, how long a login is waited
// for, who is asked what it needs, and which host a request means.
#pragma once

#include <optional>
#include <string>

#include "config/route_choice.h"
#include "control/dispatcher.h"
#include "control/methods.h"

namespace jump {

inline Status may_serve(const MethodContext& context, const Host& host) {
  return context.may_serve ? context.may_serve(host) : Status();
}
inline Status may_change(const MethodContext& context) {
  return context.may_change ? context.may_change() : Status();
}

inline Duration login_wait(const MethodContext& context, const std::optional<double>& wanted) {
  if (!wanted) return context.config.login_wait;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*wanted));
}

// Who waits for a login is asked what the login needs.
template <class R>
void wait_as_asker(const MethodContext& context, const std::string& host, const Reply<R>& reply) {
  Peer* peer = reply.peer();
  if (!context.interactions || !peer) return;
  reply.keep(
      context.interactions->wait(peer->id(), host, [reply](const Error& declined) { reply(declined); }));
}

// `via` is what the request names; empty: the config file's routes, or what is connected, decide.
inline Result<RouteChoice> route_of(const MethodContext& context, const std::string& via,
                                    const std::optional<Endpoint>& target) {
  if (!via.empty()) return RouteChoice{via, {}};
  return choose_route(context.config, target, context.hosts.connected());
}

}  // namespace jump
