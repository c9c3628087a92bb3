// Connection: one connection to the agent. Requests go out, answers are matched by id, notifications go to whoever
// listens; or, after an upgrade, the socket itself is handed out and this object is done with it.
//
// Invariants: every request is settled exactly once, at the latest when the connection ends; `close` is emitted exactly
// once, after that, unless the socket was handed out. Nothing is read from the socket behind the line of an upgrade's
// answer.
import { EventEmitter } from "node:events";
import { connect as connectSocket, type Socket } from "node:net";

import { JumpagentError } from "./errors.js";
import { LineReader } from "./line-reader.js";
import { checkLength, checkOwner, noAgent } from "./socket-path.js";
import type { Method, Params, Result } from "./types.js";

/** What a line to the agent may have, its end included. A longer one would cost the connection. */
const maxLine = 1 << 20;

/** Half of a pair. */
const loneSurrogate = /\p{Surrogate}/u;

/** As JSON. No UTF-8 has lone surrogates: the agent would take the line for none, and could not say whose it was. */
function encode(method: string, message: object): string {
  return JSON.stringify(message, (name, value: unknown) => {
    if (loneSurrogate.test(name) || (typeof value === "string" && loneSurrogate.test(value))) {
      throw new JumpagentError("invalid", `${method}: ${Buffer.from(name).toString()}: half of a surrogate pair is no text`);
    }
    return value;
  });
}

interface Waiting {
  answered: ((result: never) => void) | undefined;
  resolve(result: unknown): void;
  reject(error: unknown): void;
  /** The socket is handed out with the answer. */
  upgrade: boolean;
}

export interface RequestOptions<T = never> {
  /** Gives up waiting. The agent is not told: PROTOCOL.md has no way to take a request back but to end the connection. */
  signal?: AbortSignal;
  /** Called with the result before anything that came behind it is looked at, which the promise cannot promise. */
  answered?: (result: T) => void;
}

export interface Upgraded<T> {
  result: T;
  /** Not flowing yet; what came behind the answer is in it. Both directions end by themselves (allowHalfOpen). */
  socket: Socket;
}

export interface Connection {
  on(event: "notification", listener: (method: string, params: unknown) => void): this;
  /** Without an error: it was closed by close(). */
  on(event: "close", listener: (error: JumpagentError | undefined) => void): this;
  once(event: "close", listener: (error: JumpagentError | undefined) => void): this;
}

export class Connection extends EventEmitter {
  private readonly socket: Socket;
  private readonly reader = new LineReader();
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 1;
  private state: "open" | "upgrading" | "handed-out" | "closed" = "open";
  /** Why it closed. */
  private lastWord: JumpagentError | undefined;
  private readonly onReadable = () => this.read();
  private readonly onEnd = () => this.finish(new JumpagentError("closed", "the agent ended the connection"));
  private readonly onError = (error: Error) =>
    this.finish(new JumpagentError("closed", `the connection to the agent broke: ${error.message}`, "", 0, { cause: error }));

  static async open(path: string, signal?: AbortSignal): Promise<Connection> {
    signal?.throwIfAborted();
    await checkOwner(checkLength(path));
    const socket = connectSocket({ path, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      const abort = () => socket.destroy(signal?.reason instanceof Error ? signal.reason : new Error("aborted"));
      signal?.addEventListener("abort", abort, { once: true });
      socket.once("connect", () => {
        signal?.removeEventListener("abort", abort);
        socket.removeAllListeners("error");
        resolve();
      });
      socket.once("error", (error: NodeJS.ErrnoException) => {
        signal?.removeEventListener("abort", abort);
        reject(signal?.aborted ? signal.reason : noAgent(path, error));
      });
    });
    return new Connection(socket);
  }

  private constructor(socket: Socket) {
    super();
    this.socket = socket;
    socket.on("readable", this.onReadable);
    socket.on("end", this.onEnd);
    socket.on("error", this.onError);
    socket.on("close", this.onEnd);
  }

  get open(): boolean {
    return this.state === "open";
  }

  request<M extends Method>(method: M, params: Params<M>, options: RequestOptions<Result<M>> = {}): Promise<Result<M>> {
    return this.send(method, params, options as RequestOptions, false) as Promise<Result<M>>;
  }

  /**
   * The connection becomes what was asked for, if the answer is not an error. While that is waited for, only the
   * requests of interactions may be sent, and they have to be answered before the login that asks can go on.
   */
  async upgrade<M extends Method>(method: M, params: Params<M>): Promise<Upgraded<Result<M>>> {
    const result = (await this.send(method, { ...params, upgrade: true }, {}, true)) as Result<M>;
    return { result, socket: this.socket };
  }

  /** Ends the connection; what waits is rejected. */
  close(reason?: JumpagentError): void {
    this.finish(reason);
  }

  private send(method: string, params: object, { signal, answered }: RequestOptions, upgrade: boolean): Promise<unknown> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.state !== "open" && !(this.state === "upgrading" && method.startsWith("interaction."))) {
        throw this.lastWord ?? new JumpagentError("closed", `${method}: the connection to the agent is closed`);
      }
      const id = this.nextId++;
      const line = encode(method, { jsonrpc: "2.0", id, method, params }) + "\n";
      const size = Buffer.byteLength(line);
      if (size > maxLine) {
        throw new JumpagentError("limit", `${method}: the request has ${size} bytes, ${maxLine} are allowed`);
      }
      const abort = () => {
        // The entry stays: the answer still comes, and is nobody's.
        this.waiting.set(id, { resolve() {}, reject() {}, upgrade: false, answered: undefined });
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      const settled = () => signal?.removeEventListener("abort", abort);
      this.waiting.set(id, {
        resolve: (result) => (settled(), resolve(result)),
        reject: (error) => (settled(), reject(error)),
        upgrade,
        answered,
      });
      if (upgrade) this.state = "upgrading";
      this.socket.write(line);
    });
  }

  private read(): void {
    // Reading stops with the answer to an upgrade: what is left in the socket belongs to its new owner.
    while (this.state === "open" || this.state === "upgrading") {
      const chunk = this.socket.read() as Buffer | null;
      if (chunk === null) return;
      this.reader.feed(chunk);
      for (;;) {
        if (this.state !== "open" && this.state !== "upgrading") break;
        const line = this.reader.next();
        if (line === undefined) break;
        if (line !== "") this.take(line);
      }
    }
  }

  private take(line: string): void {
    let message: { id?: unknown; method?: unknown; params?: unknown; result?: unknown; error?: unknown };
    try {
      message = JSON.parse(line) as typeof message;
    } catch (cause) {
      this.finish(new JumpagentError("protocol", "the agent sent a line that is not JSON", "", 0, { cause }));
      return;
    }
    if (typeof message.method === "string") {
      this.emit("notification", message.method, message.params ?? {});
    } else if (typeof message.id === "number") {
      this.answer(message.id, message.result, message.error);
    } else if (message.error !== undefined) {
      // About a line that it could not read, or the connection as a whole: nobody will hear which request is lost.
      this.finish(JumpagentError.fromRpc(message.error));
    }
  }

  private answer(id: number, result: unknown, error: unknown): void {
    const waiting = this.waiting.get(id);
    if (!waiting) return;
    this.waiting.delete(id);
    if (waiting.upgrade) {
      if (error === undefined) this.handOut();
      else this.state = "open";
    }
    if (error === undefined) {
      waiting.answered?.(result as never);
      waiting.resolve(result);
    } else {
      waiting.reject(JumpagentError.fromRpc(error));
    }
  }

  private handOut(): void {
    this.state = "handed-out";
    this.forget();
    // Who gets it may not listen yet, and a program must not end over that.
    this.socket.on("error", () => {});
    const rest = this.reader.takeRest();
    if (rest.length > 0) this.socket.unshift(rest);
    this.rejectAll(new JumpagentError("closed", "the connection has become a stream"));
  }

  private finish(error: JumpagentError | undefined): void {
    if (this.state === "closed" || this.state === "handed-out") return;
    this.state = "closed";
    this.forget();
    this.socket.on("error", () => {}); // of what was still being written
    this.socket.destroy();
    this.lastWord = error;
    this.rejectAll(error ?? new JumpagentError("closed", "the connection to the agent was closed"));
    this.emit("close", error);
  }

  private rejectAll(error: JumpagentError): void {
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    for (const each of waiting) each.reject(error);
  }

  private forget(): void {
    this.socket.off("readable", this.onReadable);
    this.socket.off("end", this.onEnd);
    this.socket.off("error", this.onError);
    this.socket.off("close", this.onEnd);
  }
}
