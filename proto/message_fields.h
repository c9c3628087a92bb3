// The list of each message's fields, fields(visitor, message), which serves both directions: codec.cpp's
// Reader fills the message from JSON, its Writer builds JSON from it. The names here are the protocol's.
// Included by codec.cpp alone.
//
// A visitor V has Of<T> (T, or const T), and required(), optional(), timeout(), range() and nested().
#pragma once

#include "proto/messages.h"

namespace jump::proto {

template <class V>
void fields(V& v, typename V::template Of<HelloParams>& m) {
  v.optional("client", m.client);
  v.range("protocol", m.protocol_min, m.protocol_max);
  v.optional("capabilities", m.capabilities);
}

template <class V>
void fields(V& v, typename V::template Of<HelloResult>& m) {
  v.required("protocol", m.protocol);
  v.optional("version", m.version);
  v.optional("capabilities", m.capabilities);
  v.optional("instance", m.instance);
  v.optional("pid", m.pid);
}

template <class V>
void fields(V& v, typename V::template Of<HostConnectParams>& m) {
  v.required("host", m.host);
  v.timeout("timeout", m.timeout);
}

template <class V>
void fields(V& v, typename V::template Of<HostDisconnectParams>& m) {
  v.required("host", m.host);
}

template <class V>
void fields(V& v, typename V::template Of<HostStatus>& m) {
  v.required("host", m.host);
  v.optional("address", m.address);
  v.required("state", m.state);
  v.optional("error", m.error);
  v.optional("error_age", m.error_age);
  v.optional("age", m.age);
  v.optional("algorithms", m.algorithms);
  v.optional("rtt", m.rtt);
  v.optional("heard_age", m.heard_age);
  v.optional("unanswered", m.unanswered);
  v.optional("channels", m.channels);
  v.optional("channels_opening", m.channels_opening);
  v.optional("bytes_in", m.bytes_in);
  v.optional("bytes_out", m.bytes_out);
  v.optional("rekeys", m.rekeys);
  v.optional("logins", m.logins);
  v.optional("lanes", m.lanes);
  v.optional("lane_logins", m.lane_logins);
  v.optional("queued_out", m.queued_out);
  v.optional("held_in", m.held_in);
  v.optional("waiting", m.waiting);
  v.optional("channels_closing", m.channels_closing);
  v.optional("answers_owed", m.answers_owed);
  v.optional("replies_awaited", m.replies_awaited);
  v.optional("opens_refused", m.opens_refused);
  v.optional("opens_timed_out", m.opens_timed_out);
  v.optional("window_stalls", m.window_stalls);
  v.optional("signals_refused", m.signals_refused);
  v.optional("window_growths", m.window_growths);
  v.optional("largest_window", m.largest_window);
  v.optional("via", m.via);
  v.optional("same_as", m.same_as);
  v.optional("members", m.members);
  v.optional("serving", m.serving);
  v.optional("ignored", m.ignored);
  v.optional("warning", m.warning);
}

template <class V>
void fields(V& v, typename V::template Of<SavedForward>& m) {
  v.required("kind", m.kind);
  v.required("spec", m.spec);
  v.required("via", m.via);
  v.optional("via_rule", m.via_rule);
  v.optional("name", m.name);
  v.optional("port", m.port);
  v.optional("prewarm", m.prewarm);
}

template <class V>
void fields(V& v, typename V::template Of<SavedState>& m) {
  v.required("generation", m.generation);
  v.required("forwards", m.forwards);
}

template <class V>
void fields(V& v, typename V::template Of<UpResult>& m) {
  v.required("pid", m.pid);
  v.required("socket", m.socket);
  v.optional("existing", m.existing);
  v.optional("replaced", m.replaced);
  v.optional("connections", m.connections);
}

template <class V>
void fields(V& v, typename V::template Of<HostConnectResult>& m) {
  v.required("host", m.host);
  v.optional("existing", m.existing);
}

template <class V>
void fields(V& v, typename V::template Of<DiagnosisStep>& m) {
  v.required("hop", m.hop);
  v.required("step", m.step);
  v.required("outcome", m.outcome);
  v.optional("detail", m.detail);
  v.optional("advice", m.advice);
}

template <class V>
void fields(V& v, typename V::template Of<DiagnosisHop>& m) {
  v.required("hop", m.hop);
  v.optional("address", m.address);
}

template <class V>
void fields(V& v, typename V::template Of<HostDiagnoseParams>& m) {
  v.required("host", m.host);
  v.timeout("timeout", m.timeout);
}

template <class V>
void fields(V& v, typename V::template Of<DiagnosisReport>& m) {
  v.required("healthy", m.healthy);
  v.optional("host", m.host);
  v.optional("hops", m.hops);
  v.required("steps", m.steps);
}

template <class V>
void fields(V& v, typename V::template Of<ForwardOpenParams>& m) {
  v.optional("kind", m.kind);
  v.required("spec", m.spec);
  v.optional("via", m.via);
  v.optional("name", m.name);
  v.optional("prewarm", m.prewarm);
  v.timeout("timeout", m.timeout);
  v.optional("hold", m.hold);
  v.optional("persist", m.persist);
}

template <class V>
void fields(V& v, typename V::template Of<ForwardCloseParams>& m) {
  v.required("forward", m.forward);
}

template <class V>
void fields(V& v, typename V::template Of<TargetStatus>& m) {
  v.required("target", m.target);
  v.required("error", m.error);
  v.optional("error_age", m.error_age);
  v.optional("refused", m.refused);
}

template <class V>
void fields(V& v, typename V::template Of<ForwardStatus>& m) {
  v.required("id", m.id);
  v.optional("name", m.name);
  v.optional("kind", m.kind);
  v.optional("spec", m.spec);
  v.required("listen", m.listen);
  v.required("target", m.target);
  v.optional("via", m.via);
  v.optional("via_rule", m.via_rule);
  v.optional("origin", m.origin);
  v.required("state", m.state);
  v.optional("error", m.error);
  v.optional("error_age", m.error_age);
  v.optional("connections", m.connections);
  v.optional("connections_total", m.connections_total);
  v.optional("refused", m.refused);
  v.optional("bytes_in", m.bytes_in);
  v.optional("bytes_out", m.bytes_out);
  v.optional("prewarm", m.prewarm);
  v.optional("prewarmed", m.prewarmed);
  v.optional("accept_pauses", m.accept_pauses);
  v.optional("age", m.age);
  v.optional("persist", m.persist);
  v.optional("held", m.held);
  v.optional("exposed", m.exposed);
  v.optional("rate_in", m.rate_in);
  v.optional("rate_out", m.rate_out);
  v.optional("targets", m.targets);
}

template <class V>
void fields(V& v, typename V::template Of<ForwardOpenResult>& m) {
  v.required("forward", m.forward);
  v.optional("existing", m.existing);
}

template <class V>
void fields(V& v, typename V::template Of<ForwardCloseResult>& m) {
  v.required("forward", m.forward);
}

template <class V>
void fields(V& v, typename V::template Of<ForwardListResult>& m) {
  v.required("forwards", m.forwards);
}

template <class V>
void fields(V& v, typename V::template Of<HostOptionsParams>& m) {
  v.required("host", m.host);
  v.timeout("timeout", m.timeout);
}

template <class V>
void fields(V& v, typename V::template Of<HostOptionsResult>& m) {
  v.required("host", m.host);
  v.optional("send_env", m.send_env);
  v.optional("set_env", m.set_env);
  v.optional("forward_agent", m.forward_agent);
  v.optional("identity_agent", m.identity_agent);
  v.optional("request_tty", m.request_tty);
  v.optional("remote_command", m.remote_command);
  v.optional("session_type", m.session_type);
  v.optional("stdin_null", m.stdin_null);
  v.optional("fork_after_authentication", m.fork_after_authentication);
  v.optional("escape_char", m.escape_char);
}

template <class V>
void fields(V& v, typename V::template Of<SshConfigResult>& m) {
  v.required("block", m.block);
  v.optional("file", m.file);
  v.optional("changed", m.changed);
}

template <class V>
void fields(V& v, typename V::template Of<HostWayParams>& m) {
  v.required("host", m.host);
}

template <class V>
void fields(V& v, typename V::template Of<HostWayResult>& m) {
  v.required("way", m.way);
}

template <class V>
void fields(V& v, typename V::template Of<RouteInfo>& m) {
  v.required("to", m.to);
  v.required("via", m.via);
}

template <class V>
void fields(V& v, typename V::template Of<RouteListResult>& m) {
  v.required("routes", m.routes);
  v.optional("default_via", m.default_via);
}

template <class V>
void fields(V& v, typename V::template Of<SessionTty>& m) {
  v.optional("term", m.term);
  v.optional("columns", m.columns);
  v.optional("rows", m.rows);
  v.optional("width", m.width);
  v.optional("height", m.height);
  v.optional("escape", m.escape);
  v.optional("modes", m.modes);
}

template <class V>
void fields(V& v, typename V::template Of<SessionOpenParams>& m) {
  v.required("host", m.host);
  v.optional("command", m.command);
  v.optional("subsystem", m.subsystem);
  v.optional("tty", m.tty);
  v.optional("env", m.env);
  v.optional("agent_socket", m.agent_socket);
  v.optional("upgrade", m.upgrade);
  v.timeout("timeout", m.timeout);
}

template <class V>
void fields(V& v, typename V::template Of<SessionOpenResult>& m) {
  v.required("session", m.session);
  v.optional("tty", m.tty);
}

template <class V>
void fields(V& v, typename V::template Of<SessionResizeParams>& m) {
  v.optional("session", m.session);
  v.optional("columns", m.columns);
  v.optional("rows", m.rows);
  v.optional("width", m.width);
  v.optional("height", m.height);
}

template <class V>
void fields(V& v, typename V::template Of<SessionSignalParams>& m) {
  v.optional("session", m.session);
  v.required("signal", m.signal);
}

template <class V>
void fields(V& v, typename V::template Of<ErrorInfo>& m) {
  v.required("kind", m.kind);
  v.required("message", m.message);
  v.optional("hint", m.hint);
}

template <class V>
void fields(V& v, typename V::template Of<SessionEnded>& m) {
  v.required("session", m.session);
  v.optional("exit_status", m.exit_status);
  v.optional("exit_signal", m.exit_signal);
  v.optional("core_dumped", m.core_dumped);
  v.optional("message", m.message);
  v.optional("error", m.error);
}

template <class V>
void fields(V& v, typename V::template Of<StreamOpenParams>& m) {
  v.optional("host", m.host);
  v.optional("port", m.port);
  v.optional("path", m.path);
  v.optional("via", m.via);
  v.optional("detach", m.detach);
  v.optional("upgrade", m.upgrade);
  v.timeout("timeout", m.timeout);
}

template <class V>
void fields(V& v, typename V::template Of<StreamOpenResult>& m) {
  v.required("stream", m.stream);
  v.optional("via", m.via);
}

template <class V>
void fields(V& v, typename V::template Of<StreamEnded>& m) {
  v.required("stream", m.stream);
  v.optional("error", m.error);
}

template <class V>
void fields(V& v, typename V::template Of<SessionStatus>& m) {
  v.required("id", m.id);
  v.required("kind", m.kind);
  v.required("host", m.host);
  v.optional("what", m.what);
  v.required("state", m.state);
  v.optional("tty", m.tty);
  v.optional("client", m.client);
  v.optional("bytes_in", m.bytes_in);
  v.optional("bytes_out", m.bytes_out);
  v.optional("age", m.age);
}

template <class V>
void fields(V& v, typename V::template Of<MuxOpenParams>& m) {
  v.required("host", m.host);
  v.optional("path", m.path);
}

template <class V>
void fields(V& v, typename V::template Of<MuxOpenResult>& m) {
  v.required("path", m.path);
  v.optional("paths", m.paths);
}

template <class V>
void fields(V& v, typename V::template Of<MuxListResult>& m) {
  v.required("directory", m.directory);
  v.optional("hosts", m.hosts);
}

template <class V>
void fields(V& v, typename V::template Of<HandedMux>& m) {
  v.required("host", m.host);
  v.required("path", m.path);
  v.optional("sockets", m.sockets);
}

template <class V>
void fields(V& v, typename V::template Of<InteractionPrompt>& m) {
  v.required("text", m.text);
  v.optional("echo", m.echo);
}

template <class V>
void fields(V& v, typename V::template Of<Interaction>& m) {
  v.required("id", m.id);
  v.required("kind", m.kind);
  v.optional("host", m.host);
  v.optional("hop", m.hop);
  v.optional("title", m.title);
  v.optional("text", m.text);
  v.optional("prompts", m.prompts);
  v.optional("timeout", m.timeout);
}

template <class V>
void fields(V& v, typename V::template Of<InteractionEnded>& m) {
  v.required("id", m.id);
  v.optional("reason", m.reason);
}

template <class V>
void fields(V& v, typename V::template Of<Notice>& m) {
  v.optional("host", m.host);
  v.optional("hop", m.hop);
  v.required("text", m.text);
}

template <class V>
void fields(V& v, typename V::template Of<InteractionClaimParams>& m) {
  v.required("id", m.id);
}

template <class V>
void fields(V& v, typename V::template Of<InteractionRespondParams>& m) {
  v.required("id", m.id);
  v.secrets("answers", m.answers);
  v.optional("cancelled", m.cancelled);
}

template <class V>
void fields(V& v, typename V::template Of<InteractionDeclineParams>& m) {
  v.required("id", m.id);
  v.optional("reason", m.reason);
}

template <class V>
void fields(V& v, typename V::template Of<InteractionStatus>& m) {
  v.required("id", m.id);
  v.required("kind", m.kind);
  v.optional("host", m.host);
  v.optional("hop", m.hop);
  v.optional("age", m.age);
  v.optional("claimed", m.claimed);
}

template <class V>
void fields(V& v, typename V::template Of<AgentStatus>& m) {
  v.optional("version", m.version);
  v.optional("pid", m.pid);
  v.optional("instance", m.instance);
  v.optional("uptime", m.uptime);
  v.optional("socket", m.socket);
  v.optional("ssh_config", m.ssh_config);
  v.optional("config", m.config);
  v.optional("clients", m.clients);
  v.optional("clients_total", m.clients_total);
  v.optional("watchers", m.watchers);
  v.optional("watchers_lagged", m.watchers_lagged);
  v.optional("clients_cut_off", m.clients_cut_off);
  v.optional("clients_over_limit", m.clients_over_limit);
  v.optional("peers_turned_away", m.peers_turned_away);
  v.optional("requests_paused", m.requests_paused);
  v.optional("clients_refused", m.clients_refused);
  v.optional("protocol_errors", m.protocol_errors);
  v.optional("loop_lag_max", m.loop_lag_max);
  v.optional("loop_lag_mean", m.loop_lag_mean);
  v.optional("memory", m.memory);
  v.optional("descriptors", m.descriptors);
  v.optional("descriptor_limit", m.descriptor_limit);
  v.optional("accept_pauses", m.accept_pauses);
  v.optional("window_budget", m.window_budget);
  v.optional("window_held", m.window_held);
  v.optional("state_file", m.state_file);
  v.optional("state_problem", m.state_problem);
  v.optional("state_usable", m.state_usable);
  v.optional("state", m.state);
  v.optional("drain_left", m.drain_left);
  v.optional("build", m.build);
  v.optional("options", m.options);
  v.optional("supervised", m.supervised);
  v.optional("log_lost", m.log_lost);
  v.optional("sessions_total", m.sessions_total);
  v.optional("sessions_refused", m.sessions_refused);
  v.optional("mux_clients", m.mux_clients);
  v.optional("mux_clients_total", m.mux_clients_total);
  v.optional("mux_clients_refused", m.mux_clients_refused);
}

template <class V>
void fields(V& v, typename V::template Of<AgentReloadResult>& m) {
  v.optional("config", m.config);
  v.optional("opened", m.opened);
  v.optional("closed", m.closed);
  v.optional("kept", m.kept);
  v.optional("connecting", m.connecting);
  v.optional("disconnected", m.disconnected);
  v.optional("needs_restart", m.needs_restart);
}

template <class V>
void fields(V& v, typename V::template Of<StatusResult>& m) {
  v.required("agent", m.agent);
  v.required("hosts", m.hosts);
  v.required("forwards", m.forwards);
  v.optional("interactions", m.interactions);
  v.optional("sessions", m.sessions);
}

template <class V>
void fields(V& v, typename V::template Of<AgentShutdownParams>& m) {
  v.optional("now", m.now);
  v.timeout("drain", m.drain);
}

template <class V>
void fields(V& v, typename V::template Of<AgentShutdownResult>& m) {
  v.optional("connections", m.connections);
  v.optional("drain", m.drain);
}

template <class V>
void fields(V& v, typename V::template Of<HandedForward>& m) {
  v.required("id", m.id);
  v.required("kind", m.kind);
  v.required("spec", m.spec);
  v.required("via", m.via);
  v.optional("via_rule", m.via_rule);
  v.optional("name", m.name);
  v.optional("host", m.host);
  v.optional("port", m.port);
  v.optional("prewarm", m.prewarm);
  v.optional("persist", m.persist);
  v.optional("client", m.client);
  v.optional("sockets", m.sockets);
}

template <class V>
void fields(V& v, typename V::template Of<AgentHandoverParams>& m) {
  v.required("socket", m.socket);
}

template <class V>
void fields(V& v, typename V::template Of<AgentHandoverResult>& m) {
  v.required("control_sockets", m.control_sockets);
  v.optional("forwards", m.forwards);
  v.optional("mux", m.mux);
  v.optional("held", m.held);
  v.optional("attended", m.attended);
  v.optional("unattended", m.unattended);
}

template <class V>
void fields(V& v, typename V::template Of<AgentRetireResult>& m) {
  v.optional("connections", m.connections);
}

template <class V>
void fields(V&, typename V::template Of<Empty>&) {}

template <class V>
void fields(V& v, typename V::template Of<EventsSubscribeParams>& m) {
  v.optional("kinds", m.kinds);
  v.optional("counters", m.counters);
}

template <class V>
void fields(V& v, typename V::template Of<EventsSnapshot>& m) {
  v.optional("hosts", m.hosts);
  v.optional("forwards", m.forwards);
  v.optional("sessions", m.sessions);
  v.optional("interactions", m.interactions);
}

template <class V>
void fields(V& v, typename V::template Of<EventsSubscribeResult>& m) {
  v.required("seq", m.seq);
  v.required("snapshot", m.snapshot);
}

template <class V>
void fields(V& v, typename V::template Of<Event>& m) {
  v.required("seq", m.seq);
  v.required("kind", m.kind);
  v.required("action", m.action);
  v.required("id", m.id);
  v.optional("host", m.host);
  v.optional("forward", m.forward);
  v.optional("interaction", m.interaction);
  v.optional("session", m.session);
}

template <class V>
void fields(V& v, typename V::template Of<EventsLagged>& m) {
  v.required("seq", m.seq);
  v.required("missed", m.missed);
  v.required("snapshot", m.snapshot);
}

template <class V>
void fields(V& v, typename V::template Of<RpcError>& m) {
  v.required("code", m.code);
  v.required("message", m.message);
  v.nested("data", [&m](auto& data) {
    data.optional("kind", m.kind);
    data.optional("hint", m.hint);
  });
}

}  // namespace jump::proto
