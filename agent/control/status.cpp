#include "control/status.h"

namespace jump {
namespace {

const char* state_name(const Host& host) {
  switch (host.state()) {
    case Host::State::kIdle:
      return "idle";
    case Host::State::kResolving:
      return "resolving";
    case Host::State::kReady:
      return "ready";
    case Host::State::kDown:
      return "down";
    case Host::State::kConnecting:
      break;
  }
  if (!host.hop()) return "connecting";
  switch (host.hop()->state()) {
    case Hop::State::kPreparing:
    case Hop::State::kConnecting:
      return "connecting";
    case Hop::State::kExchanging:
      return "exchanging";
    case Hop::State::kAuthenticating:
      return "authenticating";
    case Hop::State::kReady:
      return "ready";
    case Hop::State::kClosed:
      return "closing";
  }
  return "connecting";
}

const char* state_name(const WantedForward& wanted) {
  if (!wanted.established) return "starting";
  switch (wanted.forward->state()) {
    case LocalForward::State::kStarting:
      return "starting";
    case LocalForward::State::kActive:
      return "active";
    case LocalForward::State::kWaiting:
      return "waiting";
    case LocalForward::State::kDegraded:
      return "degraded";
  }
  return "starting";
}

}  // namespace

proto::HostStatus host_status(const Host& host, TimePoint now) {
  proto::HostStatus status;
  status.host = host.name();
  if (const auto& spec = host.spec()) status.address = spec->address();
  status.state = state_name(host);
  if (const auto& error = host.last_error()) {
    status.error = error->message;
    status.error_age = to_seconds(now - host.error_time());
  }
  status.age = to_seconds(now - host.since());
  status.logins = host.logins();
  const Hop* hop = host.hop();
  if (!hop) return status;
  status.algorithms = hop->algorithms();
  if (auto rtt = hop->round_trip()) status.rtt = to_seconds(*rtt);
  status.rekeys = hop->rekeys();
  status.queued_out = hop->output_size();
  if (hop->state() != Hop::State::kReady) return status;
  const Mux& mux = hop->mux();
  status.channels = mux.open_channels();
  status.channels_opening = mux.opening_channels();
  status.bytes_in = mux.counters().bytes_in;
  status.bytes_out = mux.counters().bytes_out;
  status.queued_out += mux.counters().queued_out;
  return status;
}

proto::ForwardStatus forward_status(const WantedForward& wanted, TimePoint now) {
  const LocalForward& forward = *wanted.forward;
  proto::ForwardStatus status;
  status.id = forward.id();
  status.name = wanted.name;
  status.kind = "local";
  status.spec = wanted.spec;
  status.listen = forward.local().to_string();
  status.target = forward.target().to_string();
  status.via = forward.host().name();
  status.state = state_name(wanted);
  if (const auto& error = forward.last_error()) {
    status.error = error->message;
    status.error_age = to_seconds(now - forward.error_time());
  } else if (const auto& down = forward.host().last_error(); down && !forward.host().ready()) {
    status.error = down->message;
    status.error_age = to_seconds(now - forward.host().error_time());
  }
  ForwardCounters counters = forward.counters();
  status.connections = counters.connections;
  status.connections_total = counters.connections_total;
  status.refused = counters.refused;
  status.bytes_in = counters.bytes_in;
  status.bytes_out = counters.bytes_out;
  status.prewarm = forward.spares_wanted();
  status.prewarmed = forward.spares_ready();
  status.age = to_seconds(now - forward.since());
  return status;
}

proto::ForwardListResult forward_list(const Forwards& forwards, TimePoint now) {
  proto::ForwardListResult list;
  for (const WantedForward& wanted : forwards.all()) list.forwards.push_back(forward_status(wanted, now));
  return list;
}

}  // namespace jump
