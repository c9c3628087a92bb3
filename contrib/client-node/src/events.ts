// Events: an async iterator over what changes in the agent. It begins with a snapshot, goes on with changes, and gives a
// snapshot again whenever changes were missed, so that a reader that applies what it gets (Mirror) always agrees with the
// agent.
//
// Invariant: at most `maxQueued` updates wait here for a slow reader. Beyond that they are thrown away, and the reader's
// next update is a snapshot that is asked for anew; the connection is always read, as answers travel on it too.
import type { Connection } from "./connection.js";
import { JumpagentError } from "./errors.js";
import type {
  EventKind, ForwardStatus, HostStatus, InteractionStatus, SessionStatus, Snapshot,
} from "./types.js";

/** More than the agent has forwards for most people, and a few MB at the most. */
const maxQueued = 1024;

/** `missed`: changes that were not told, when it is not the first; they are in the snapshot. */
export interface SnapshotUpdate {
  type: "snapshot";
  missed: number;
  snapshot: Snapshot;
}
interface Change<Kind extends string, Status> {
  type: "change";
  kind: Kind;
  id: string;
  action: "added" | "changed" | "removed";
  /** All of it as it is now; undefined when it was removed. */
  status: Status | undefined;
}
export type ChangeUpdate =
  | Change<"host", HostStatus>
  | Change<"forward", ForwardStatus>
  | Change<"session", SessionStatus>
  | Change<"interaction", InteractionStatus>;
export type Update = SnapshotUpdate | ChangeUpdate;

export interface EventsOptions {
  /** All, if left out. */
  kinds?: EventKind[];
  /** Also what differs in nothing but counters and rates, once a second at most. */
  counters?: boolean;
  /** Ends the iterator. */
  signal?: AbortSignal;
}

interface Event extends Record<string, unknown> {
  seq: number;
  kind: EventKind;
  action: ChangeUpdate["action"];
  id: string;
}
interface Pending {
  resolve(result: IteratorResult<Update, undefined>): void;
  reject(error: unknown): void;
}

export class EventStream implements AsyncIterableIterator<Update> {
  private queue: Update[] = [];
  private pending: Pending[] = [];
  /** `stale`: what was queued is gone, and a snapshot is to be asked for when the reader wants more. */
  private state: "subscribing" | "live" | "stale" | "done" = "subscribing";
  private missed = 0;
  private seq = 0;
  private failure: JumpagentError | undefined;
  private readonly onNotification = (method: string, params: unknown) => this.hear(method, params);
  private readonly onClose = (error: JumpagentError | undefined) =>
    this.finish(error ?? new JumpagentError("closed", "the connection to the agent was closed"));
  private readonly onAbort = () => void this.return();

  /** `released`: called once, when the connection may be used for another subscription. */
  constructor(
    private readonly connection: Connection,
    private readonly options: EventsOptions,
    private readonly released: () => void,
  ) {
    connection.on("notification", this.onNotification);
    connection.on("close", this.onClose);
    options.signal?.addEventListener("abort", this.onAbort, { once: true });
    void this.subscribe();
    if (options.signal?.aborted) void this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Update, undefined>> {
    const update = this.queue.shift();
    if (update) return Promise.resolve({ value: update, done: false });
    if (this.state === "done") {
      const failure = this.failure;
      this.failure = undefined; // told once, as iterators do
      return failure ? Promise.reject(failure) : Promise.resolve({ value: undefined, done: true });
    }
    return new Promise((resolve, reject) => {
      this.pending.push({ resolve, reject });
      if (this.state === "stale") void this.subscribe();
    });
  }

  async return(): Promise<IteratorResult<Update, undefined>> {
    if (this.state !== "done") {
      this.queue = [];
      this.finish(undefined);
      await this.connection.request("events.unsubscribe", {}).catch(() => {});
      this.released();
    }
    return { value: undefined, done: true };
  }

  private async subscribe(): Promise<void> {
    this.state = "subscribing";
    const { kinds, counters } = this.options;
    try {
      await this.connection.request(
        "events.subscribe",
        { ...(kinds && { kinds }), ...(counters !== undefined && { counters }) },
        { answered: ({ seq, snapshot }) => this.begin(seq, snapshot) },
      );
    } catch (error) {
      this.finish(error as JumpagentError);
      this.released();
    }
  }

  private begin(seq: number, snapshot: Snapshot): void {
    if (this.state === "done") return;
    this.state = "live";
    this.seq = seq;
    const missed = this.missed;
    this.missed = 0;
    this.put({ type: "snapshot", missed, snapshot });
  }

  private hear(method: string, params: unknown): void {
    if (this.state === "done") return;
    if (method === "event") this.event(params as Event);
    if (method === "events.lagged") {
      const lagged = params as { seq: number; missed: number; snapshot: Snapshot };
      if (this.state === "live") this.restart(lagged);
      else this.missed += lagged.missed;
    }
  }

  private event(event: Event): void {
    if (this.state !== "live") {
      this.missed += 1; // of the subscription that is being replaced
      return;
    }
    if (event.seq !== this.seq + 1) return this.overflow(Math.max(1, event.seq - this.seq));
    this.seq = event.seq;
    if (this.queue.length >= maxQueued) return this.overflow(1);
    const { kind, id, action } = event;
    this.put({ type: "change", kind, id, action, status: event[kind] } as ChangeUpdate);
  }

  /** What waits in the queue is older than the agent's snapshot, and would be undone by it. */
  private restart({ seq, missed, snapshot }: { seq: number; missed: number; snapshot: Snapshot }): void {
    this.missed = missed + this.unread();
    this.queue = [];
    this.begin(seq, snapshot);
  }

  private overflow(more: number): void {
    this.missed += more + this.unread();
    this.queue = [];
    this.state = "stale";
    if (this.pending.length > 0) void this.subscribe();
  }

  private unread(): number {
    return this.queue.reduce((sum, update) => sum + (update.type === "change" ? 1 : update.missed), 0);
  }

  private put(update: Update): void {
    const reader = this.pending.shift();
    if (reader) reader.resolve({ value: update, done: false });
    else this.queue.push(update);
  }

  private finish(failure: JumpagentError | undefined): void {
    if (this.state === "done") return;
    this.state = "done";
    this.connection.off("notification", this.onNotification);
    this.connection.off("close", this.onClose);
    this.options.signal?.removeEventListener("abort", this.onAbort);
    this.failure = failure;
    for (const reader of this.pending.splice(0)) this.next().then(reader.resolve, reader.reject);
  }
}

/** A copy of the agent's state, kept up to date by applying updates. */
export class Mirror {
  readonly hosts = new Map<string, HostStatus>();
  readonly forwards = new Map<string, ForwardStatus>();
  readonly sessions = new Map<string, SessionStatus>();
  readonly interactions = new Map<string, InteractionStatus>();

  apply(update: Update): void {
    if (update.type === "snapshot") return this.fill(update.snapshot);
    const map = this.mapOf(update.kind);
    if (!map) return; // a newer agent's
    if (update.status === undefined) map.delete(update.id);
    else map.set(update.id, update.status);
  }

  private fill({ hosts, forwards, sessions, interactions }: Snapshot): void {
    for (const map of [this.hosts, this.forwards, this.sessions, this.interactions]) map.clear();
    for (const host of hosts) this.hosts.set(host.host, host);
    for (const forward of forwards) this.forwards.set(forward.id, forward);
    for (const session of sessions) if (session.id !== undefined) this.sessions.set(session.id, session);
    for (const interaction of interactions) this.interactions.set(interaction.id, interaction);
  }

  private mapOf(kind: ChangeUpdate["kind"]): Map<string, unknown> | undefined {
    switch (kind) {
      case "host": return this.hosts;
      case "forward": return this.forwards;
      case "session": return this.sessions;
      case "interaction": return this.interactions;
      default: return undefined;
    }
  }
}
