// Session: a command, a subsystem or a shell on a host, over an upgraded connection of its own. Frames come in and go to
// stdout, stderr and `exit`; what is written to stdin goes out as frames.
//
// Invariants: `exit` resolves exactly once and never rejects. While stdout or stderr is not read, nothing is read from
// the connection, so the remote program stops as it would at a full pipe; both have to be read (or resume()d) for the end
// to be heard. No stream of it ends the process by an unheard `error`. When `exit` has resolved, the connection is closed.
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { Readable, Writable } from "node:stream";

import { JumpagentError } from "./errors.js";
import { frameHeader, FrameReader, frameType, jsonFrame, maxFrame, type Frame } from "./frames.js";
import type { Params, SessionEnded, TtySize } from "./types.js";

export interface Exit {
  /** The remote exit status; null when there was none. */
  status: number | null;
  /** What killed the remote program: `TERM`, without "SIG". */
  signal: string | null;
  coreDumped: boolean;
  /** What the server said about the signal. */
  message: string;
  /** Why the session broke, when neither of the two above is known. */
  error: JumpagentError | null;
}

/** Ends without an error when the session did; with one, more would have come. */
class Output extends Readable {
  /** It has enough for now. An output that nobody wants any more never has: it does not hold up the other one. */
  full = false;

  constructor(private readonly wanted: () => void) {
    super({ highWaterMark: maxFrame });
    this.on("error", () => {});
  }
  put(payload: Buffer): void {
    if (payload.length > 0 && !this.destroyed) this.full = !this.push(payload);
  }
  override _read(): void {
    this.empty();
  }
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    done(error);
    this.empty();
  }
  private empty(): void {
    this.full = false;
    this.wanted();
  }
}

export type Tell = <M extends "session.resize" | "session.signal">(method: M, params: Params<M>) => Promise<unknown>;

export interface Session {
  once(event: "exit", listener: (exit: Exit) => void): this;
  on(event: "exit", listener: (exit: Exit) => void): this;
}

export class Session extends EventEmitter {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exit: Promise<Exit>;

  private readonly outputs: [Output, Output];
  private readonly frames = new FrameReader();
  private readonly onData = (chunk: Buffer) => this.feed(chunk);
  private settle!: (exit: Exit) => void;
  private over = false;
  private stopListening = () => {};

  /**
   * `socket`: as Connection.upgrade() hands it out. `id`: the agent's name for the session. `tell`: sends a request over
   * another connection.
   */
  constructor(private readonly socket: Socket, readonly id: string, private readonly tell: Tell, signal?: AbortSignal) {
    super();
    this.exit = new Promise((resolve) => (this.settle = resolve));
    this.outputs = [new Output(() => this.flow()), new Output(() => this.flow())];
    [this.stdout, this.stderr] = this.outputs;
    this.stdin = new Writable({
      write: (chunk: Buffer, _encoding, done) => this.writeStdin(chunk, done),
      final: (done) => this.write(frameHeader(frameType.stdinEnd, 0), done),
      destroy: (error, done) => {
        if (!this.over && !this.stdin.writableFinished) this.socket.write(frameHeader(frameType.stdinEnd, 0));
        done(error);
      },
    });
    this.stdin.on("error", () => {});
    socket.on("data", this.onData);
    socket.on("end", () => this.break(new JumpagentError("closed", "the agent ended the session without a word")));
    socket.on("error", (cause) =>
      this.break(new JumpagentError("closed", `the connection to the agent broke: ${cause.message}`, "", 0, { cause })));
    socket.on("close", () => this.break(new JumpagentError("closed", "the connection to the agent is closed")));
    this.abortOn(signal);
  }

  /** Tells a session with a terminal its new size. */
  resize(size: TtySize): void {
    this.overtake("session.resize", { session: this.id, ...size }, jsonFrame(frameType.resize, size));
  }

  /** Sends a signal (`TERM`, `SIGINT`…). It overtakes what was written to stdin. */
  kill(signal = "TERM"): void {
    const wanted = { signal: signal.replace(/^SIG/, "") };
    this.overtake("session.signal", { session: this.id, ...wanted }, jsonFrame(frameType.signal, wanted));
  }

  /** Ends the session at once, whatever it does. */
  close(reason = new JumpagentError("closed", "the session was closed by its client")): void {
    this.break(reason);
  }

  private abortOn(signal: AbortSignal | undefined): void {
    if (!signal) return;
    const abort = () =>
      this.close(new JumpagentError("closed", "the session was aborted by its client", "", 0, { cause: signal.reason }));
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    this.stopListening = () => signal.removeEventListener("abort", abort);
  }

  /** Frames wait behind stdin that is not read; an agent that knows no other way takes the frame. */
  private overtake<M extends "session.resize" | "session.signal">(method: M, params: Params<M>, frame: Buffer): void {
    if (this.over) return;
    this.tell(method, params).catch(() => this.write(frame));
  }

  private write(bytes: Buffer, done: (error?: Error | null) => void = () => {}): void {
    if (this.over) done();
    else this.socket.write(bytes, done);
  }

  private writeStdin(chunk: Buffer, done: (error?: Error | null) => void): void {
    if (this.over) return done();
    this.socket.cork();
    for (let at = 0; at < chunk.length; at += maxFrame) {
      const part = chunk.subarray(at, at + maxFrame);
      this.socket.write(frameHeader(frameType.stdin, part.length));
      this.socket.write(part, at + maxFrame >= chunk.length ? done : undefined);
    }
    if (chunk.length === 0) done();
    this.socket.uncork();
  }

  private feed(chunk: Buffer): void {
    let frames: Frame[];
    try {
      frames = this.frames.feed(chunk);
    } catch (error) {
      this.break(error as JumpagentError);
      return;
    }
    for (const frame of frames) this.take(frame);
    if (this.outputs.some(({ full }) => full)) this.socket.pause();
  }

  private take({ type, payload }: Frame): void {
    if (this.over) return;
    if (type === frameType.stdout) this.outputs[0].put(payload);
    else if (type === frameType.stderr) this.outputs[1].put(payload);
    else if (type === frameType.ended) this.ended(payload);
    // Others are a newer agent's.
  }

  private flow(): void {
    if (!this.over && !this.outputs.some(({ full }) => full)) this.socket.resume();
  }

  private ended(payload: Buffer): void {
    let ended: SessionEnded;
    try {
      ended = JSON.parse(payload.toString("utf8")) as SessionEnded;
    } catch (cause) {
      return this.break(new JumpagentError("protocol", "the agent told the session's end in no JSON", "", 0, { cause }));
    }
    const error = ended.error ? JumpagentError.fromPlain(ended.error) : null;
    this.finish({
      status: ended.exit_status ?? null,
      signal: ended.exit_signal ?? null,
      coreDumped: ended.core_dumped ?? false,
      message: ended.message ?? "",
      error,
    });
  }

  private break(error: JumpagentError): void {
    this.finish({ status: null, signal: null, coreDumped: false, message: "", error });
  }

  private finish(exit: Exit): void {
    if (this.over) return;
    this.over = true;
    this.stopListening();
    this.socket.off("data", this.onData);
    this.socket.destroy();
    for (const output of this.outputs) {
      if (exit.error) output.destroy(exit.error);
      else output.push(null);
    }
    this.stdin.destroy();
    this.settle(exit);
    this.emit("exit", exit);
  }
}
