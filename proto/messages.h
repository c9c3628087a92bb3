// The control protocol's messages as plain structs, shared by jumpagent and jumpctl. PROTOCOL.md is the
// reference for people; codec.h turns these into JSON and back, methods.h says which method takes and gives
// which. Adding an optional field is compatible; changing one is not. Times are seconds (floating point),
// sizes are bytes, ids are opaque strings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"

namespace jump::proto {

inline constexpr int kProtocolMin = 1;
inline constexpr int kProtocolMax = 1;
// One line of JSON, newline included; longer ones are refused and the connection ends.
inline constexpr std::size_t kMaxLine = 1 << 20;
// The longest wait a request may ask for, in seconds: a day; also keeps every timeout far from any overflow.
inline constexpr double kMaxTimeout = 86400;
// Spare channels of one forward; more would be a load test of the target.
inline constexpr std::uint64_t kMaxPrewarm = 64;

struct HelloParams {
  std::string client;               // "jumpctl 0.1.0"
  int protocol_min = kProtocolMin;  // wire: "protocol": [min, max]
  int protocol_max = kProtocolMax;
  std::vector<std::string> capabilities = {};  // of the client: "interactions"
};
struct HelloResult {
  int protocol = kProtocolMax;
  std::string version;
  std::vector<std::string> capabilities;  // "forward.local", …
  std::string instance;                   // differs for every run of the agent
  int pid = 0;
};

// --- hosts ---
struct HostConnectParams {
  std::string host;               // anything `ssh HOST` takes
  std::optional<double> timeout;  // seconds to wait for the login, 0 to kMaxTimeout; none: the agent's own
};
struct HostDisconnectParams {
  std::string host;
};
struct HostStatus {
  std::string host;            // as the user named it
  std::string address;         // "user@10.0.0.5:22"; empty until resolved
  std::string state;           // idle resolving connecting exchanging authenticating waiting_user ready …
  std::string error;           // the last one, while it matters
  double error_age = 0;        // seconds since; meaningless without error
  double age = 0;              // seconds in this state
  std::string algorithms;      // "curve25519-sha256 aes128-gcm@openssh.com"
  std::optional<double> rtt;   // seconds, last measured round trip
  std::optional<double> heard_age;  // seconds since anything came from it; while it is connected
  std::optional<double> unanswered;  // seconds for which it has owed an answer; while it is connected
  std::uint64_t channels = 0;  // open now
  std::uint64_t channels_opening = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;  // payload of channels, of this connection
  std::uint64_t rekeys = 0;
  std::uint64_t logins = 0;      // successful logins since the agent started
  std::uint64_t lanes = 0;        // further connections to the host, now; the figures are of all together
  std::uint64_t lane_logins = 0;  // successful logins of those, besides `logins`
  std::uint64_t queued_out = 0;   // bytes waiting for the network
  std::uint64_t held_in = 0;      // bytes that came and that local programs have not taken yet
  std::uint64_t waiting = 0;      // requests and connections that wait for the host to be connected
  std::uint64_t channels_closing = 0;  // ended here; their numbers wait for the server's CLOSE
  std::uint64_t answers_owed = 0;      // to requests of the server, not sent yet
  std::uint64_t replies_awaited = 0;   // to requests of ours
  // Of this connection, so far:
  std::uint64_t opens_refused = 0;    // channels that the server refused
  std::uint64_t opens_timed_out = 0;  // channels given up at their deadline
  std::uint64_t window_stalls = 0;    // times that a channel with data found the server's window empty
  std::uint64_t signals_refused = 0;  // to sessions, as too many waited for the network
  std::uint64_t window_growths = 0;   // times that a receive window was doubled
  std::uint64_t largest_window = 0;   // that a receive window was doubled to; 0: none was
  std::string via;                   // the jump host that carries it now, by its name here; empty: none
  std::string same_as;               // the name of the host whose connection it shares; empty: its own
  std::vector<std::string> members;  // the hosts that the name stands for (a bastion of the config file)
  std::string serving;               // the one of them whose connection it shares; empty: none now
  std::vector<std::string> ignored;  // what its ssh_config says and is not done, for a person
  std::string warning;               // what did not keep it from being connected, for a person

  bool operator==(const HostStatus&) const = default;
};
struct HostConnectResult {
  HostStatus host;
  bool existing = false;  // it was ready already
};

// --- diagnosis: what is well on the way to a host, and what is not ---
struct DiagnosisStep {
  std::string hop;      // whose: HostDiagnosis::hops, or "agent"
  std::string step;     // config known_hosts agent identity certificate dns proxy_command connect banner …
  std::string outcome;  // ok note failed skipped
  std::string detail;   // what was found, for a person
  std::string advice;   // what to do about it; empty: nothing, or nothing is known
};
struct DiagnosisHop {
  std::string hop;      // as the user or ProxyJump named it
  std::string address;  // "user@10.0.0.5:22"
};
struct HostDiagnoseParams {
  std::string host;
  std::optional<double> timeout;  // seconds for all of it, 0 to kMaxTimeout
};
struct DiagnosisReport {
  bool healthy = false;            // no step failed
  std::string host;                // empty: of the agent itself
  std::vector<DiagnosisHop> hops;  // from here to the host; empty when the way is not known
  std::vector<DiagnosisStep> steps;
};

// --- forwards ---
struct ForwardOpenParams {
  std::string kind = "local";     // local remote dynamic
  std::string spec;               // as in ssh -L, -R, -D: "8080:svc:80", "127.0.0.1:0:svc:80", "/run/x.sock:svc:80"
  std::string via;                // host; empty: the only connected one
  std::string name;               // optional
  std::optional<std::uint64_t> prewarm;  // spare channels to the target kept open, at most 64; none: 0
  std::optional<double> timeout;  // seconds to wait for the login of `via`, 0 to kMaxTimeout
  // How long it is wanted: until it is closed, or…
  bool hold = false;     // … until this connection to the agent ends
  bool persist = false;  // … until it is closed, across restarts of the agent; not together with `hold`
};
struct ForwardCloseParams {
  std::string forward;  // id, name, or the spec it was opened with
};
// A target of a dynamic forward that could not be reached.
struct TargetStatus {
  std::string target;  // "svc:80"
  std::string error;   // the last one
  double error_age = 0;
  std::uint64_t refused = 0;  // connections since it was last reached

  bool operator==(const TargetStatus&) const = default;
};
struct ForwardStatus {
  std::string id;  // "f1"
  std::string name;
  std::string kind;    // local remote dynamic remote-dynamic
  std::string spec;    // what was asked for, in canonical form
  std::string listen;  // "127.0.0.1:8080", the port that was chosen
  std::string target;  // "svc:80"; empty: each client names its own
  std::string via;     // host as the user named it
  std::string via_rule;  // how it was chosen, for a person; empty: the request named it
  std::string origin;    // who wants it: "client", "config" (the agent's config file), "both"
  std::string state;   // starting active waiting degraded backoff waiting_user failed
  std::string error;   // the last one
  double error_age = 0;
  std::uint64_t connections = 0;  // now
  std::uint64_t connections_total = 0;
  std::uint64_t refused = 0;    // connections that could not be carried
  std::uint64_t bytes_in = 0;   // from the target to local clients
  std::uint64_t bytes_out = 0;  // from local clients to the target
  std::uint64_t prewarm = 0;    // spare channels wanted
  std::uint64_t prewarmed = 0;  // spare channels open now
  std::uint64_t accept_pauses = 0;  // times that accepting waited for a free descriptor
  double age = 0;
  bool persist = false;    // comes back after a restart of the agent
  std::uint64_t held = 0;  // clients that it is to end with
  bool exposed = false;    // others than this machine (remote: than the server) can connect
  double rate_in = 0, rate_out = 0;        // bytes per second, smoothed over a few seconds
  std::vector<TargetStatus> targets = {};  // of a dynamic one: those that were not reached lately

  bool operator==(const ForwardStatus&) const = default;
};
struct ForwardOpenResult {
  ForwardStatus forward;
  bool existing = false;  // the same forward was there already
};
struct ForwardCloseResult {
  ForwardStatus forward;  // as it was when it was closed
};
struct ForwardListResult {
  std::vector<ForwardStatus> forwards;
};

// --- sessions and streams ---
inline constexpr const char* kSessionCapability = "session";
inline constexpr const char* kStreamCapability = "stream";
// Descriptors that come with one request: stdin, stdout, stderr.
inline constexpr std::size_t kMaxDescriptors = 3;
// What ssh_config says about sessions on a host.
struct HostOptionsParams {
  std::string host;
  std::optional<double> timeout;
};
struct HostOptionsResult {
  std::string host;
  std::vector<std::string> send_env;           // patterns of names
  std::map<std::string, std::string> set_env;  // to be sent as they are
  std::string forward_agent = "no";            // no, yes, a path, "$NAME"
  std::string identity_agent = "SSH_AUTH_SOCK";  // or none, a path, "$NAME"
  std::string request_tty = "auto";            // auto no yes force
  std::string remote_command;                  // empty: none
  std::string session_type = "default";        // default none subsystem
  bool stdin_null = false;
  bool fork_after_authentication = false;
  std::string escape_char = "~";  // one character; empty: none
};
// What is missing of a terminal is read from the first descriptor that is one.
struct SessionTty {
  std::optional<std::string> term;
  std::optional<std::uint64_t> columns, rows, width, height;
  std::optional<std::string> escape;  // one character; "": none
  std::optional<std::map<std::string, std::uint64_t>> modes;  // opcodes of RFC 4254 section 8, in decimal
};
struct SessionOpenParams {
  std::string host;
  std::optional<std::string> command, subsystem;  // neither: a shell
  std::optional<SessionTty> tty;
  std::map<std::string, std::string> env;
  std::string agent_socket;  // path of the ssh-agent that the server may use; empty: none
  bool upgrade = false;      // the connection carries the session; else its descriptors come along
  std::optional<double> timeout;
};
struct SessionOpenResult {
  std::string session;  // "s1"
  bool tty = false;     // the server has given a terminal
};
struct SessionResizeParams {
  std::string session;  // empty in a frame: its own
  std::optional<std::uint64_t> columns, rows, width, height;
};
struct SessionSignalParams {
  std::string session;
  std::string signal;  // "INT"
};
struct ErrorInfo {
  std::string kind;
  std::string message;
  std::string hint;
};
// Notification "session.ended", and the last frame of an upgraded session.
struct SessionEnded {
  std::string session;
  std::optional<std::uint64_t> exit_status;
  std::optional<std::string> exit_signal;  // "TERM"
  std::optional<bool> core_dumped;
  std::optional<std::string> message;  // the server's, with the signal
  std::optional<ErrorInfo> error;      // the connection broke
};
struct StreamOpenParams {
  std::string host;                   // of the target, as the host `via` sees it
  std::optional<std::uint64_t> port;
  std::string path;  // of a Unix socket there, instead of host and port
  std::string via;   // empty: the routing table decides
  bool detach = false;
  bool upgrade = false;
  std::optional<double> timeout;
};
struct StreamOpenResult {
  std::string stream;  // "s2"
  std::string via;
};
// Notification "stream.ended".
struct StreamEnded {
  std::string stream;
  std::optional<ErrorInfo> error;
};
struct SessionStatus {
  std::string id;    // "s1"
  std::string kind;  // shell command subsystem stream
  std::string host;  // of a stream: that which makes the connection
  std::string what;  // the command, the subsystem, the target; empty: a shell
  std::string state;  // waiting opening running ending
  bool tty = false;
  std::uint64_t client = 0;  // the connection that it belongs to; 0: it is detached
  std::uint64_t bytes_in = 0, bytes_out = 0;
  double age = 0;

  bool operator==(const SessionStatus&) const = default;
};

// --- for stock ssh ---
inline constexpr const char* kMuxCapability = "mux";
struct MuxOpenParams {
  std::string host;
  std::string path;  // where else than at the usual place; empty: there
};
struct MuxOpenResult {
  std::string path;                // for ControlPath
  std::vector<std::string> paths;  // all at which the host is served
};
struct MuxListResult {
  std::string directory;           // where sockets are named after hosts, and after %C
  std::vector<std::string> hosts;  // that the config file has served: names, and patterns of aliases
};

// --- interactions: what a person is asked ---
// A client that says so in `hello` is asked what its own requests need.
inline constexpr const char* kInteractionsCapability = "interactions";
struct InteractionPrompt {
  std::string text;
  bool echo = false;  // whether what is typed may be seen
};
// Notification "interaction".
struct Interaction {
  std::string id;     // "i1"
  std::string kind;   // host_key passphrase password keyboard_interactive confirm notice
  std::string host;   // as the user named it
  std::string hop;    // who asks: "prod (deploy@10.0.0.5:22)"
  std::string title;  // one line, may be empty
  std::string text;   // to be read first, several lines, may be empty
  std::vector<InteractionPrompt> prompts;
  double timeout = 0;  // seconds left
};
// Notification "interaction.ended": it is no longer to be answered by this client.
struct InteractionEnded {
  std::string id;
  std::string reason;  // answered declined claimed timeout withdrawn
};
// Notification "notice": something to be read ("banner" of the server), not to be answered.
struct Notice {
  std::string host;
  std::string hop;
  std::string text;
};
struct InteractionClaimParams {
  std::string id;
};
struct InteractionRespondParams {
  std::string id;
  std::vector<Secret> answers;  // one per prompt
  bool cancelled = false;       // declined; then without answers
};
struct InteractionDeclineParams {
  std::string id;
  std::optional<std::string> reason = {};  // why the person could not be asked; none: the person said no
};
struct InteractionStatus {
  std::string id;
  std::string kind;
  std::string host;
  std::string hop;
  double age = 0;
  bool claimed = false;

  bool operator==(const InteractionStatus&) const = default;
};

// --- routes: which host is for which targets ---
struct RouteInfo {
  std::vector<std::string> to;  // patterns of the config file, as written: "*.prod.example", "!db.prod.example"
  std::string via;
};
struct RouteListResult {
  std::vector<RouteInfo> routes;  // in their order: the first that fits is taken
  std::string default_via;        // empty: none
};
struct HostWayParams {
  std::string host;
};
struct HostWayResult {
  // The jump hosts in their order, then the host itself, without user and port; of a name that stands for
  // several hosts, all of them.
  std::vector<std::string> way;
};

// --- agent ---
struct AgentStatus {
  std::string version;
  int pid = 0;
  std::string instance;
  double uptime = 0;
  std::string socket;
  std::string ssh_config;             // what -F named; empty: the user's own
  std::string config;                 // the agent's own config file; empty: none was read
  std::string state_file;             // where persistent forwards are kept; empty: nowhere
  std::string state_problem;          // what is wrong with it, or was, for a person; empty: nothing
  bool state_usable = true;           // it is read, and what is to be kept is in it
  std::uint64_t clients = 0;          // control connections now
  std::uint64_t clients_total = 0;    // and ever
  std::uint64_t watchers = 0;         // clients that have subscribed to events
  std::uint64_t watchers_lagged = 0;  // times that one of them read too slowly and missed some
  std::uint64_t clients_cut_off = 0;  // did not read their answers
  std::uint64_t clients_over_limit = 0;  // turned away: too many already
  std::uint64_t peers_turned_away = 0;   // turned away: another uid
  std::uint64_t requests_paused = 0;     // times that a client's next request waited: too many under way
  std::uint64_t clients_refused = 0;     // over the limit, or another uid
  std::uint64_t protocol_errors = 0;     // malformed requests so far
  double loop_lag_max = 0;               // seconds: worst of the last minute
  double loop_lag_mean = 0;
  std::uint64_t memory = 0;  // resident bytes
  std::uint64_t descriptors = 0;
  std::uint64_t descriptor_limit = 0;
  std::uint64_t accept_pauses = 0;  // times that a listener waited for a free descriptor
  std::uint64_t window_budget = 0;  // bytes that may be held for local programs, all connections together
  std::uint64_t window_held = 0;    // bytes that are
  std::string state = "running";      // running ending
  std::optional<double> drain_left;   // ending: seconds until connections that still move bytes are cut
  std::string build;                  // hash of the program file it runs; empty: not known (yet)
  std::vector<std::string> options;   // its command line's, as `up` hands them to the agent that replaces it
  bool supervised = false;            // a service manager has started it and watches it
  std::uint64_t log_lost = 0;         // lines that the log could not take in time
  std::uint64_t sessions_total = 0;    // sessions and streams, ever
  std::uint64_t sessions_refused = 0;  // turned away: too many already
  std::uint64_t mux_clients = 0;        // of stock ssh, now
  std::uint64_t mux_clients_total = 0;  // and ever
  std::uint64_t mux_clients_refused = 0;  // turned away: too many already
};
struct AgentReloadResult {
  std::string config;  // the file that was read; empty: there is none
  // Forwards of the file.
  std::uint64_t opened = 0, closed = 0, kept = 0;
  std::vector<std::string> connecting;     // hosts that are being logged in to
  std::vector<std::string> disconnected;   // hosts
  std::vector<std::string> needs_restart;  // changed settings that a running agent cannot change
};
struct AgentShutdownParams {
  bool now = false;             // without waiting for connections
  std::optional<double> drain;  // seconds to wait for them at most, 0 to kMaxTimeout; none: the agent's own
};
struct AgentShutdownResult {
  std::uint64_t connections = 0;  // that are open, and waited for while they move bytes
  double drain = 0;               // seconds, at most
};
// One forward, as the agent that takes over is to have it.
struct HandedForward {
  std::string id, kind, spec, via, via_rule, name;
  std::string host;                   // where it listens, the chosen port included
  std::optional<std::uint64_t> port;  // none: a Unix socket, of the path that `spec` has
  std::uint64_t prewarm = 0;
  bool persist = false;
  bool client = false;        // a client wants it, until it is closed; else only the config file does
  std::uint64_t sockets = 0;  // of the descriptors that came, in the order of the forwards
};
// A socket at which a host is served to stock ssh.
struct HandedMux {
  std::string host;
  std::string path;
  std::uint64_t sockets = 0;
};
struct AgentHandoverParams {
  std::string socket;  // path of a Unix socket where the descriptors are awaited
};
struct AgentHandoverResult {
  std::uint64_t control_sockets = 0;  // these descriptors come first
  std::vector<HandedForward> forwards;
  std::vector<HandedMux> mux;  // their descriptors come last
  std::uint64_t held = 0;  // forwards that end with the clients of this agent
  std::vector<std::string> attended = {};    // hosts whose last login took a person
  std::vector<std::string> unattended = {};  // and those where it took none
};
struct AgentRetireResult {
  std::uint64_t connections = 0;  // that this agent goes on carrying
};
struct StatusResult {
  AgentStatus agent;
  std::vector<HostStatus> hosts;
  std::vector<ForwardStatus> forwards;
  std::vector<InteractionStatus> interactions = {};  // that wait for an answer
  std::vector<SessionStatus> sessions = {};
};
struct Empty {};

// --- events: what changes, told as it does ---
inline constexpr const char* kEventsCapability = "events";
struct EventsSubscribeParams {
  std::vector<std::string> kinds;  // host forward session interaction; none: all
  bool counters = false;           // also when nothing but counters and rates has changed, once a second at most
};
struct EventsSnapshot {
  std::vector<HostStatus> hosts;
  std::vector<ForwardStatus> forwards;
  std::vector<SessionStatus> sessions = {};
  std::vector<InteractionStatus> interactions;
};
struct EventsSubscribeResult {
  std::uint64_t seq = 0;  // of the last change that is in the snapshot
  EventsSnapshot snapshot;
};
// Notification "event". All of what has changed is in the field that `kind` names.
struct Event {
  std::uint64_t seq = 0;
  std::string kind;
  std::string action;  // added changed removed; removed: with none of the last four
  std::string id;      // of a host: its name
  std::optional<HostStatus> host = {};
  std::optional<ForwardStatus> forward = {};
  std::optional<InteractionStatus> interaction = {};
  std::optional<SessionStatus> session = {};
};
// Notification "events.lagged": the client has read too slowly, and begins anew with the snapshot.
struct EventsLagged {
  std::uint64_t seq = 0;     // of the last change that is in the snapshot
  std::uint64_t missed = 0;  // changes that were not sent
  EventsSnapshot snapshot;
};

// Not a method's: the state file.
struct SavedForward {
  std::string kind, spec, via, via_rule, name;
  std::optional<std::uint64_t> port;  // that was chosen, where the spec says 0
  std::uint64_t prewarm = 0;
};
struct SavedState {
  std::uint64_t generation = 0;
  std::vector<SavedForward> forwards;
};
// Not a method's: what `jumpctl --json ssh-config` prints.
struct SshConfigResult {
  std::string block;
  std::optional<std::string> file;  // that it was installed in
  std::optional<bool> changed;      // false: the file had it already
};
// Not a method's: what `jumpagent --json up` prints.
struct UpResult {
  int pid = 0;
  std::string socket;
  bool existing = false;  // it ran already
  std::optional<int> replaced;    // the pid of the agent whose place it took
  std::uint64_t connections = 0;  // that the replaced one goes on carrying
};

// --- errors ---
// JSON-RPC codes; `kind` (errc_name) is what programs act on, `hint` what a person does next.
inline constexpr int kParseError = -32700;
inline constexpr int kInvalidRequest = -32600;
inline constexpr int kMethodNotFound = -32601;
inline constexpr int kInvalidParams = -32602;
inline constexpr int kInternalError = -32603;
inline constexpr int kFailed = -32000;  // the request was understood and could not be done: see kind
struct RpcError {
  int code = kFailed;
  std::string message;
  std::string kind;  // errc_name()
  std::string hint;
};

}  // namespace jump::proto
