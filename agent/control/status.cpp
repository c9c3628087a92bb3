#include "control/status.h"

#include <algorithm>

#include "route/failure.h"

namespace jump {
namespace {

bool waits_for_person(const Host& host) {
  const auto& error = host.last_error();
  return host.state() == Host::State::kDown && error && error->code == Errc::kNeedsPerson;
}

const char* state_name(const Host& host) {
  if (waits_for_person(host)) return "waiting_user";
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

// What a forward waits for while its host is away: time, or a person.
const char* waiting_for(const Host& host) {
  const auto& error = host.last_error();
  if (host.state() != Host::State::kDown || !error || mends_itself(*error)) return "waiting";
  return waits_for_person(host) ? "waiting_user" : "failed";
}

const char* state_name(const WantedForward& wanted) {
  if (wanted.unbound) return "backoff";
  if (!wanted.established) return "starting";
  switch (wanted.forward->state()) {
    case Forward::State::kStarting:
      return "starting";
    case Forward::State::kActive:
      return "active";
    case Forward::State::kWaiting:
      return waiting_for(wanted.forward->host());
    case Forward::State::kDegraded:
      return "degraded";
    case Forward::State::kBackoff:
      return "backoff";
    case Forward::State::kEnding:
      return "ending";
  }
  return "starting";
}

// Others than programs of that machine can connect.
bool is_exposed(const Endpoint& listening) {
  const std::string& host = listening.host;
  const bool loopback = host.empty() || host == "localhost" || host == "::1" || host.starts_with("127.");
  return !listening.is_unix() && !loopback;
}

std::vector<proto::TargetStatus> target_status(const TargetFailures& failures, TimePoint now) {
  std::vector<proto::TargetStatus> list;
  for (const TargetFailure& each : failures.all()) {
    list.push_back({each.target.to_string(), each.error.message, to_seconds(now - each.time), each.count});
  }
  return list;
}

// What one connection adds to the figures of its host.
void add_traffic(const Hop& hop, proto::HostStatus& status) {
  status.rekeys += hop.rekeys();
  status.queued_out += hop.output_size();
  if (hop.state() != Hop::State::kReady) return;
  const Mux& mux = hop.mux();
  status.channels += mux.open_channels();
  status.channels_opening += mux.opening_channels();
  status.channels_closing += mux.used_numbers() - mux.open_channels() - mux.opening_channels();
  status.answers_owed += mux.owed_answers();
  status.replies_awaited += mux.awaited_replies();
  const MuxCounters& counters = mux.counters();
  status.bytes_in += counters.bytes_in;
  status.bytes_out += counters.bytes_out;
  status.queued_out += counters.queued_out;
  status.held_in += counters.held_in;
  status.opens_refused += counters.open_failed;
  status.opens_timed_out += counters.open_timeouts;
  status.window_stalls += counters.window_stalls;
  status.signals_refused += counters.signals_refused;
  status.window_growths += counters.window_growths;
  status.largest_window = std::max(status.largest_window, counters.largest_window);
}

}  // namespace

proto::HostStatus host_status(const Host& host, TimePoint now) {
  proto::HostStatus status;
  status.host = host.name();
  if (const HopSpec* spec = host.spec()) {
    status.address = spec->address();
    status.ignored = spec->ignored;
  }
  if (const Host* via = host.via()) status.via = via->name();
  if (const Host* leader = host.leader()) status.same_as = leader->name();
  status.members = host.members();
  if (host.leader()) status.serving = host.serving();
  status.state = state_name(host);
  if (const auto& error = host.last_error()) {
    status.error = error->message;
    status.error_age = to_seconds(now - host.error_time());
  }
  status.age = to_seconds(now - host.since());
  status.logins = host.logins();
  status.waiting = host.waiting();
  const Lane& lane = host.lane();
  status.lane_logins = lane.logins() + host.rescue().logins();
  const Hop* hop = host.hop();
  if (!hop) return status;
  status.algorithms = hop->algorithms();
  if (auto rtt = hop->round_trip()) status.rtt = to_seconds(*rtt);
  if (hop->state() == Hop::State::kReady) status.heard_age = to_seconds(now - hop->last_heard());
  if (const auto asked = hop->asked_since(); asked && now - *asked >= Hop::kDoubt)
    status.unanswered = to_seconds(now - *asked);
  status.warning = hop->host_key_unrecorded();
  add_traffic(*hop, status);
  status.lanes = lane.ready() ? 1 : 0;
  if (const Hop* second = lane.ready()) add_traffic(*second, status);
  if (!host.leader()) {
    status.lane_logins += host.sessions().logins();
    for (const Hop* further : host.sessions().further()) {
      if (further->state() != Hop::State::kReady) continue;
      status.lanes++;
      add_traffic(*further, status);
    }
  }
  for (const auto& other : host.rescue().hops()) {
    if (other->state() != Hop::State::kReady) continue;
    ++status.lanes;
    add_traffic(*other, status);
  }
  return status;
}

proto::ForwardStatus forward_status(const WantedForward& wanted, TimePoint now) {
  const Forward& forward = *wanted.forward;
  proto::ForwardStatus status;
  status.id = forward.id();
  status.name = wanted.name();
  status.kind = proto::forward_kind_name(forward.request().kind);
  status.spec = wanted.spec();
  status.listen = forward.listening().to_string();
  if (forward.request().target) status.target = forward.request().target->to_string();
  status.via = forward.host().name();
  status.via_rule = wanted.via_rule;
  status.origin = !wanted.configured ? "client" : wanted.by_client || wanted.holders > 0 ? "both" : "config";
  status.persist = wanted.persistent;
  status.held = wanted.holders;
  status.exposed = is_exposed(forward.listening());
  status.state = state_name(wanted);
  if (wanted.unbound) {
    status.error = wanted.unbound->message;
    status.error_age = to_seconds(now - wanted.unbound_since);
  } else if (const auto& down = forward.host().last_error(); down && !forward.host().ready()) {
    status.error = down->message;
    status.error_age = to_seconds(now - forward.host().error_time());
  } else if (const auto& error = forward.last_error()) {
    status.error = error->message;
    status.error_age = to_seconds(now - forward.error_time());
  }
  ForwardCounters counters = forward.counters();
  status.connections = counters.connections;
  status.connections_total = counters.connections_total;
  status.refused = counters.refused;
  status.bytes_in = counters.bytes_in;
  status.bytes_out = counters.bytes_out;
  status.rate_in = wanted.rate_in.per_second();
  status.rate_out = wanted.rate_out.per_second();
  status.prewarm = forward.spares_wanted();
  status.prewarmed = forward.spares_ready();
  status.accept_pauses = forward.listener_stats().pauses;
  status.age = to_seconds(now - forward.since());
  if (const TargetFailures* failures = forward.target_failures())
    status.targets = target_status(*failures, now);
  return status;
}

proto::ForwardListResult forward_list(const Forwards& forwards, TimePoint now) {
  proto::ForwardListResult list;
  for (const WantedForward& wanted : forwards.all()) list.forwards.push_back(forward_status(wanted, now));
  return list;
}

proto::SessionStatus session_status(const std::string& id, const SessionFacts& facts, TimePoint now) {
  proto::SessionStatus status;
  status.id = id;
  status.kind = facts.kind;
  status.host = facts.host;
  status.what = facts.what;
  status.state = facts.state;
  status.tty = facts.terminal;
  status.client = facts.client;
  status.bytes_in = facts.bytes_in;
  status.bytes_out = facts.bytes_out;
  status.age = to_seconds(now - facts.since);
  return status;
}

}  // namespace jump
