#include "control/methods.h"

#include <algorithm>
#include <optional>

#include "control/status.h"
#include "proto/spec.h"

namespace jump {
namespace {

using namespace proto;  // NOLINT: this file is all about its messages

Duration login_wait(const std::optional<double>& wanted) {
  if (!wanted) return kDefaultLoginWait;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*wanted));
}

// Names of services are the client's to look up: the system's databases may take their time.
std::optional<std::uint16_t> no_services(const std::string&) { return std::nullopt; }

// `ssh -L` means loopback when no address is given, and every interface when it is empty or "*".
Endpoint listen_endpoint(const ForwardEnd& end) {
  if (end.is_unix()) return Endpoint{{}, 0, end.path};
  return Endpoint{end.host.empty() ? "localhost" : end.host, end.port, {}};
}

Endpoint target_endpoint(const ForwardEnd& end) {
  return end.is_unix() ? Endpoint{{}, 0, end.path} : Endpoint{end.host, end.port, {}};
}

void connect_host(const MethodContext& context, const HostConnectParams& params,
                  const Reply<HostConnectResult>& reply) {
  Result<Host*> found = context.hosts.get(params.host);
  if (!found) return reply(found.error());
  Host* host = *found;
  bool existing = host->ready();
  reply.keep(host->acquire(Host::Asker::kUser, login_wait(params.timeout),
                           [&io = context.io, host, existing, reply](const Result<Mux*>& mux) {
                             if (!mux) return reply(mux.error());
                             reply(HostConnectResult{host_status(*host, io.now()), existing});
                           }));
}

void disconnect_host(const MethodContext& context, const HostDisconnectParams& params,
                     const Reply<Empty>& reply) {
  Host* host = context.hosts.find(params.host);
  if (!host) {
    return reply(Error{Errc::kNotFound, "'" + params.host + "' is not connected",
                       "the hosts there are: jumpctl status"});
  }
  host->disconnect(Error{Errc::kClosed, "disconnected by user", {}});
  reply(Empty{});
}

void open_forward(const MethodContext& context, const ForwardOpenParams& params,
                  const Reply<ForwardOpenResult>& reply) {
  Result<ForwardSpec> spec = parse_forward_spec(params.spec, no_services);
  if (!spec) return reply(spec.error());
  if (spec->listen.is_unix() && spec->listen.path.front() != '/') {
    return reply(Error{Errc::kInvalid, "the path to listen on must be absolute: " + spec->listen.path, {}});
  }
  ForwardRequest request;
  request.listen = listen_endpoint(spec->listen);
  request.target = target_endpoint(spec->target);
  request.spec = spec->to_string();
  request.via = params.via;
  request.name = params.name;
  request.prewarm = params.prewarm.value_or(0);
  if (request.prewarm > SpareChannels::kMax) {
    return reply(Error{Errc::kInvalid, "prewarm is at most " + std::to_string(SpareChannels::kMax), {}});
  }
  request.timeout = login_wait(params.timeout);
  reply.keep(
      context.forwards.open(request, [&io = context.io, reply](const Result<Forwards::Opened>& opened) {
        if (!opened) return reply(opened.error());
        reply(ForwardOpenResult{forward_status(*opened->wanted, io.now()), opened->existing});
      }));
}

void close_forward(const MethodContext& context, const ForwardCloseParams& params,
                   const Reply<ForwardCloseResult>& reply) {
  // Specs are compared in their canonical form, so that any spelling of the same forward finds it.
  Result<ForwardSpec> spec = parse_forward_spec(params.forward, no_services);
  Result<const WantedForward*> wanted = context.forwards.find(spec ? spec->to_string() : params.forward);
  if (!wanted) return reply(wanted.error());
  ForwardCloseResult result{forward_status(**wanted, context.io.now())};
  context.forwards.close(*wanted);
  reply(result);
}

StatusResult status(const MethodContext& context) {
  StatusResult result;
  TimePoint now = context.io.now();
  result.agent = context.agent_status();
  for (const auto& [name, host] : context.hosts.all()) result.hosts.push_back(host_status(*host, now));
  result.forwards = forward_list(context.forwards, now).forwards;
  return result;
}

}  // namespace

void bind_methods(Dispatcher& dispatcher, const MethodContext& context) {
  dispatcher.bind(method::kHello, [context](const HelloParams& params, const Reply<HelloResult>& reply) {
    Result<int> version = negotiate(params);
    if (!version) return reply(version.error());
    HelloResult hello = context.identity;
    hello.protocol = *version;
    reply(std::move(hello));
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
  dispatcher.bind(method::kAgentShutdown, [context](const Empty&, const Reply<Empty>& reply) {
    reply(Empty{});
    context.shutdown();
  });
}

}  // namespace jump
