// The protocol's messages as types; proto/PROTOCOL.md says what each field means. Field names are the wire's.
// Invariant: nothing here is narrower than the protocol promises. It grows within a version, so states are open sets,
// and an agent that is older than a field leaves it out.
//
// Sizes are JSON numbers here: exact up to 2^53 - 1 bytes (9 PB).

/** Strings that are known, and any other that a newer agent says. */
type Open<Known extends string> = Known | (string & {});

export interface HelloParams {
  client?: string;
  protocol?: [number, number];
  capabilities?: string[];
}
export interface HelloResult {
  protocol: number;
  version: string;
  capabilities: string[];
  /** Differs for every run of the agent. */
  instance: string;
  pid: number;
}

export type HostState = Open<
  "idle" | "resolving" | "connecting" | "exchanging" | "authenticating" | "waiting_user" | "ready" | "closing" | "down"
>;
export interface HostStatus {
  host: string;
  address: string;
  state: HostState;
  age: number;
  error: string;
  error_age: number;
  algorithms: string;
  rtt?: number | null;
  heard_age?: number | null;
  channels: number;
  channels_opening: number;
  channels_closing: number;
  bytes_in: number;
  bytes_out: number;
  queued_out: number;
  held_in: number;
  waiting: number;
  answers_owed: number;
  replies_awaited: number;
  opens_refused: number;
  opens_timed_out: number;
  window_stalls: number;
  signals_refused: number;
  window_growths: number;
  largest_window: number;
  rekeys: number;
  logins: number;
  lanes: number;
  lane_logins: number;
  via: string;
  same_as: string;
  ignored: string[];
  warning: string;
}

export type ForwardKind = "local" | "remote" | "dynamic";
export type ForwardState = Open<
  "starting" | "active" | "degraded" | "backoff" | "waiting" | "waiting_user" | "failed" | "ending"
>;
export interface TargetStatus {
  target: string;
  error: string;
  error_age: number;
  refused: number;
}
export interface ForwardStatus {
  id: string;
  name: string;
  kind: Open<ForwardKind | "remote-dynamic">;
  spec: string;
  listen: string;
  target: string;
  via: string;
  via_rule: string;
  origin: Open<"client" | "config" | "both">;
  state: ForwardState;
  age: number;
  error: string;
  error_age: number;
  connections: number;
  connections_total: number;
  refused: number;
  bytes_in: number;
  bytes_out: number;
  rate_in: number;
  rate_out: number;
  prewarm: number;
  prewarmed: number;
  accept_pauses: number;
  persist: boolean;
  held: number;
  exposed: boolean;
  targets: TargetStatus[];
}
export interface ForwardOpenParams {
  /** As in `ssh -L`, `-R`, `-D`: `0:svc:80`, `/tmp/svc.sock:svc:80`, `1080`. */
  spec: string;
  kind?: ForwardKind;
  via?: string;
  name?: string;
  prewarm?: number;
  /** It ends with this connection to the agent. */
  hold?: boolean;
  /** It comes back after a restart of the agent. */
  persist?: boolean;
  timeout?: number;
}
export interface ForwardOpenResult {
  forward: ForwardStatus;
  /** The same forward was open already. */
  existing: boolean;
}

export interface AgentStatus {
  version: string;
  pid: number;
  instance: string;
  uptime: number;
  socket: string;
  ssh_config: string;
  config: string;
  clients: number;
  clients_total: number;
  memory: number;
  descriptors: number;
  descriptor_limit: number;
  loop_lag_max: number;
  loop_lag_mean: number;
  state: Open<"running" | "ending">;
  drain_left?: number | null;
  build: string;
  options: string[];
  supervised: boolean;
  /** The counters that are not named above. */
  [more: string]: unknown;
}
export interface InteractionStatus {
  id: string;
  kind: InteractionKind;
  host: string;
  hop: string;
  age: number;
  claimed: boolean;
}
export interface SessionStatus {
  id?: string;
  [more: string]: unknown;
}
export interface StatusResult {
  agent: AgentStatus;
  hosts: HostStatus[];
  forwards: ForwardStatus[];
  interactions: InteractionStatus[];
}

export interface DiagnosisStep {
  hop: string;
  step: string;
  outcome: Open<"ok" | "note" | "failed" | "skipped">;
  detail: string;
  advice: string;
}
export interface Diagnosis {
  healthy: boolean;
  host?: string;
  hops?: { hop: string; address: string }[];
  steps: DiagnosisStep[];
}

export interface HostOptions {
  send_env: string[];
  set_env: Record<string, string>;
  forward_agent: string;
  request_tty: Open<"auto" | "no" | "yes" | "force">;
  remote_command: string;
  session_type: Open<"default" | "none" | "subsystem">;
  stdin_null: boolean;
  /** Absent from an older agent. */
  fork_after_authentication?: boolean;
}

export interface TtyParams {
  term?: string;
  columns?: number;
  rows?: number;
  /** Pixels. */
  width?: number;
  height?: number;
  /** {opcode: value} of RFC 4254 section 8, the opcodes in decimal. */
  modes?: Record<string, number>;
}
export type TtySize = Pick<TtyParams, "columns" | "rows" | "width" | "height">;
export interface SessionOpenParams {
  host: string;
  command?: string;
  subsystem?: string;
  tty?: TtyParams;
  env?: Record<string, string>;
  agent_socket?: string;
  upgrade?: boolean;
  timeout?: number;
}
export interface SessionEnded {
  session: string;
  exit_status?: number | null;
  exit_signal?: string | null;
  core_dumped?: boolean | null;
  message?: string | null;
  error?: { kind: string; message: string; hint: string } | null;
}
export interface StreamOpenParams {
  host?: string;
  port?: number;
  /** A Unix socket at the far end, instead of `host` and `port`. */
  path?: string;
  via?: string;
  detach?: boolean;
  upgrade?: boolean;
  timeout?: number;
}
export interface StreamOpenResult {
  stream: string;
  via: string;
}

export interface ReloadResult {
  config: string;
  opened: number;
  closed: number;
  kept: number;
  connecting: string[];
  disconnected: string[];
  needs_restart: string[];
}

export type InteractionKind = Open<
  "host_key" | "passphrase" | "password" | "keyboard_interactive" | "confirm" | "notice"
>;
export interface Prompt {
  text: string;
  /** What is typed may be seen. */
  echo: boolean;
}
export interface Interaction {
  id: string;
  kind: InteractionKind;
  host: string;
  hop: string;
  title: string;
  text: string;
  prompts: Prompt[];
  /** Seconds left; 0 in a `notice`. */
  timeout: number;
}
export type InteractionEndReason = Open<"answered" | "declined" | "claimed" | "timeout" | "withdrawn">;
export interface Notice {
  host: string;
  hop: string;
  text: string;
}

export type EventKind = "host" | "forward" | "session" | "interaction";
export interface EventsSubscribeParams {
  kinds?: EventKind[];
  counters?: boolean;
}
export interface Snapshot {
  hosts: HostStatus[];
  forwards: ForwardStatus[];
  sessions: SessionStatus[];
  interactions: InteractionStatus[];
}

type Empty = Record<string, never>;

/** The methods: [params, result]. */
export interface Methods {
  "hello": [HelloParams, HelloResult];
  "status": [Empty, StatusResult];
  "host.connect": [{ host: string; timeout?: number }, { host: HostStatus; existing: boolean }];
  "host.disconnect": [{ host: string }, Empty];
  "host.diagnose": [{ host: string; timeout?: number }, Diagnosis];
  "host.options": [{ host: string; timeout?: number }, HostOptions];
  "agent.diagnose": [Empty, Diagnosis];
  "agent.reload": [Empty, ReloadResult];
  "agent.shutdown": [{ now?: boolean; drain?: number }, { connections: number; drain: number }];
  "forward.open": [ForwardOpenParams, ForwardOpenResult];
  "forward.close": [{ forward: string }, { forward: ForwardStatus }];
  "forward.list": [Empty, { forwards: ForwardStatus[] }];
  "session.open": [SessionOpenParams, { session: string }];
  "session.resize": [{ session: string } & TtySize, Empty];
  "session.signal": [{ session: string; signal: string }, Empty];
  "stream.open": [StreamOpenParams, StreamOpenResult];
  "events.subscribe": [EventsSubscribeParams, { seq: number; snapshot: Snapshot }];
  "events.unsubscribe": [Empty, Empty];
  "interaction.subscribe": [Empty, Empty];
  "interaction.claim": [{ id: string }, Interaction];
  "interaction.respond": [{ id: string; answers: string[]; cancelled?: boolean }, Empty];
  "interaction.decline": [{ id: string; reason?: string }, Empty];
}
export type Method = keyof Methods;
export type Params<M extends Method> = Methods[M][0];
export type Result<M extends Method> = Methods[M][1];
