// Agent: what a program uses. One control connection for requests, events and questions; a connection of its own for each
// session and each stream, as those become its bytes. Reconnecting is the caller's choice: `close` is emitted once, and
// every call after that rejects with kind `closed`.
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { finished } from "node:stream/promises";

import { Connection, type RequestOptions, type Upgraded } from "./connection.js";
import { JumpagentError } from "./errors.js";
import { EventStream, type EventsOptions } from "./events.js";
import { Asker, type InteractionHandler } from "./interactions.js";
import { Session, type Exit } from "./session.js";
import { socketPath } from "./socket-path.js";
import type {
  Diagnosis, ForwardOpenParams, ForwardOpenResult, ForwardStatus, HelloResult, HostOptions, HostStatus, Method, Notice,
  Params, ReloadResult, Result, SessionOpenParams, StatusResult, StreamOpenParams, TtyParams,
} from "./types.js";

const protocol: [number, number] = [1, 1];
const terminal: Required<Pick<TtyParams, "term" | "columns" | "rows">> = { term: "xterm-256color", columns: 80, rows: 24 };

export interface ConnectOptions {
  /** Path of the control socket; by default where PROTOCOL.md says it is. */
  socket?: string;
  /** Name and version of the program, for the agent's log. */
  client?: string;
  signal?: AbortSignal;
}

export interface SessionOptions {
  /** A terminal; true: an xterm of 80 by 24. */
  tty?: boolean | TtyParams;
  /** The server's AcceptEnv decides which of them arrive. */
  env?: Record<string, string>;
  /** Path of an ssh-agent's socket that the server may use meanwhile. */
  agentSocket?: string;
  /** Seconds for the login and the start. */
  timeout?: number;
  /** Gives up the start, or ends the session. */
  signal?: AbortSignal;
}

export interface RunOptions extends SessionOptions {
  input?: string | Uint8Array;
}
export interface RunResult extends Exit {
  stdout: Buffer;
  stderr: Buffer;
}

export interface StreamOptions extends Omit<StreamOpenParams, "upgrade" | "detach"> {
  /** Gives up the opening; to end the stream is its owner's. */
  signal?: AbortSignal;
}

export interface Agent {
  /** Without an error: by close(). */
  on(event: "close", listener: (error: JumpagentError | undefined) => void): this;
  once(event: "close", listener: (error: JumpagentError | undefined) => void): this;
  /** Text of a server to be shown, such as its banner. */
  on(event: "notice", listener: (notice: Notice) => void): this;
}

export class Agent extends EventEmitter {
  private handler: InteractionHandler | undefined;
  private events_: EventStream | undefined;

  /** Finds the agent. Rejects with kind `no_agent` when none is running. */
  static async connect(options: ConnectOptions = {}): Promise<Agent> {
    const path = options.socket ?? socketPath();
    const client = options.client ?? "jumpagent-client-node";
    const connection = await Connection.open(path, options.signal);
    try {
      const hello = await connection.request("hello", { client, protocol }, withSignal(options.signal));
      return new Agent(path, client, connection, hello);
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  private constructor(
    /** Path of the control socket. */
    readonly socket: string,
    private readonly client: string,
    private readonly connection: Connection,
    /** What the agent said of itself: version, capabilities, instance, pid. */
    readonly hello: HelloResult,
  ) {
    super();
    new Asker(connection, () => this.handler, (notice) => this.emit("notice", notice));
    connection.once("close", (error) => this.emit("close", error));
  }

  get connected(): boolean {
    return this.connection.open;
  }
  can(capability: string): boolean {
    return this.hello.capabilities.includes(capability);
  }

  /** Ends the control connection, and with it what was opened with `hold`. Sessions and streams go on. */
  close(): void {
    this.connection.close();
  }

  /** Any method of the protocol. */
  call<M extends Method>(method: M, params: Params<M>, options: RequestOptions<Result<M>> = {}): Promise<Result<M>> {
    return this.connection.request(method, params, options);
  }

  // --- state ---
  status(): Promise<StatusResult> {
    return this.call("status", {});
  }
  async hosts(): Promise<HostStatus[]> {
    return (await this.status()).hosts;
  }
  async forwards(): Promise<ForwardStatus[]> {
    return (await this.call("forward.list", {})).forwards;
  }
  /**
   * What changes, from a snapshot on. One at a time for each Agent; another one waits for its return(), or has an Agent of
   * its own.
   */
  events(options: EventsOptions = {}): EventStream {
    if (this.events_) {
      throw new JumpagentError("in_use", "this connection has a subscription to events already",
        "end that one, or connect another Agent");
    }
    const stream: EventStream = new EventStream(this.connection, options, () => {
      if (this.events_ === stream) this.events_ = undefined;
    });
    this.events_ = stream;
    return stream;
  }

  // --- the agent itself ---
  /** Reads its config file again. */
  reload(): Promise<ReloadResult> {
    return this.call("agent.reload", {});
  }
  /** Ends it; `close` is emitted when it has. `drain` in seconds. */
  async shutdown(options: { now?: boolean; drain?: number } = {}): Promise<void> {
    await this.call("agent.shutdown", options);
  }

  // --- hosts ---
  /** Logs in, and answers when the host is ready. `timeout` in seconds. */
  async connectHost(host: string, options: { timeout?: number; signal?: AbortSignal } = {}): Promise<HostStatus> {
    const { signal, ...rest } = options;
    return (await this.call("host.connect", { host, ...rest }, withSignal(signal))).host;
  }
  async disconnectHost(host: string): Promise<void> {
    await this.call("host.disconnect", { host });
  }
  /** What ssh_config says about sessions on the host. */
  hostOptions(host: string): Promise<HostOptions> {
    return this.call("host.options", { host });
  }
  /** What is well on the way to a host, or with the agent itself, and what to do about the rest. */
  diagnose(host?: string, options: { timeout?: number } = {}): Promise<Diagnosis> {
    return host === undefined ? this.call("agent.diagnose", {}) : this.call("host.diagnose", { host, ...options });
  }

  // --- forwards ---
  /** `{ spec: "0:svc:80", via: "prod" }`: the answer's `listen` has the port that was chosen. */
  forward(params: ForwardOpenParams): Promise<ForwardOpenResult> {
    return this.call("forward.open", params);
  }
  /** By id, name or spec; gives its last status. */
  async closeForward(forward: string): Promise<ForwardStatus> {
    return (await this.call("forward.close", { forward })).forward;
  }

  // --- questions ---
  /**
   * Puts what logins ask to `handler`: what this program's own requests, sessions and streams need; with `everything` also
   * what nobody else can be asked, as an IDE does. Without a handler such logins fail with `needs_person`. Another handler
   * takes the place of the one before; undefined: nobody can be asked any more.
   */
  async onInteraction(handler: InteractionHandler | undefined, options: { everything?: boolean } = {}): Promise<void> {
    this.handler = handler;
    if (!handler) return;
    await this.sayHello(this.connection);
    if (options.everything) await this.call("interaction.subscribe", {});
  }

  // --- sessions and streams ---
  /** One line for the remote user's shell. Resolves when the server has started it. */
  exec(host: string, command: string, options: SessionOptions = {}): Promise<Session> {
    return this.openSession({ host, command }, options);
  }
  /** A login shell, with a terminal unless `tty` is false. */
  shell(host: string, options: SessionOptions = {}): Promise<Session> {
    return this.openSession({ host }, { tty: true, ...options });
  }
  subsystem(host: string, subsystem: string, options: SessionOptions = {}): Promise<Session> {
    return this.openSession({ host, subsystem }, options);
  }
  /** Runs a command to its end, with all of its output in memory. An exit status that is not 0 is no error here. */
  async run(host: string, command: string, options: RunOptions = {}): Promise<RunResult> {
    const session = await this.exec(host, command, options);
    session.stdin.end(options.input ?? "");
    const [stdout, stderr, exit] = await Promise.all([collect(session.stdout), collect(session.stderr), session.exit]);
    if (exit.error) throw exit.error;
    return { ...exit, stdout, stderr };
  }
  /**
   * A connection to `host`:`port`, or to the Unix socket `path`, as `via` sees them. end() ends one direction; the other
   * goes on until its own end.
   */
  async stream(options: StreamOptions): Promise<Socket> {
    const { signal, ...params } = options;
    return (await this.upgrade("stream.open", params, signal)).socket;
  }

  private async openSession(what: SessionOpenParams, options: SessionOptions): Promise<Session> {
    const { tty, env, agentSocket, timeout, signal } = options;
    const params: SessionOpenParams = { ...what };
    if (tty) params.tty = { ...terminal, ...(tty === true ? {} : tty) };
    if (env) params.env = env;
    if (agentSocket !== undefined) params.agent_socket = agentSocket;
    if (timeout !== undefined) params.timeout = timeout;
    const { result, socket } = await this.upgrade("session.open", params, signal);
    return new Session(socket, result.session, (method, told) => this.call(method, told), signal);
  }

  private async upgrade<M extends "session.open" | "stream.open">(
    method: M, params: Params<M>, signal?: AbortSignal,
  ): Promise<Upgraded<Result<M>>> {
    const connection = await Connection.open(this.socket, signal);
    const abort = () => connection.close();
    signal?.addEventListener("abort", abort, { once: true });
    const asker = new Asker(connection, () => this.handler, (notice) => this.emit("notice", notice));
    try {
      await this.sayHello(connection);
      return await connection.upgrade(method, params);
    } catch (error) {
      connection.close();
      throw signal?.aborted ? signal.reason : error;
    } finally {
      signal?.removeEventListener("abort", abort);
      asker.endAll();
    }
  }

  private async sayHello(connection: Connection): Promise<void> {
    const capabilities = this.handler ? ["interactions"] : [];
    await connection.request("hello", { client: this.client, protocol, capabilities });
  }
}

function withSignal(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}

/** Also of a stream that breaks: what there was. `exit` tells of the break. */
async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await finished(stream).catch(() => {});
  return Buffer.concat(chunks);
}
