// Questions to a person (PROTOCOL.md, "Interactions"), as they come in on a connection, and the answers that go back on
// the same one. Invariant: every question is put to the handler once, or declined with the reason when there is none, so
// that no login waits for a handler that is not there.
import type { Connection } from "./connection.js";
import { JumpagentError } from "./errors.js";
import type { Interaction, InteractionEndReason, InteractionKind, Notice, Prompt } from "./types.js";

export type InteractionHandler = (question: Question) => void | Promise<void>;
export type NoticeHandler = (notice: Notice) => void;

export class Question implements Interaction {
  readonly id: string;
  readonly kind: InteractionKind;
  readonly host: string;
  readonly hop: string;
  readonly title: string;
  readonly text: string;
  readonly prompts: Prompt[];
  readonly timeout: number;
  /** Aborted when the question is no longer this client's, or answered, with the reason: close the dialog. */
  readonly ended: AbortSignal;

  private readonly ending = new AbortController();
  private claimed: Promise<unknown> | undefined;

  constructor(private readonly connection: Connection, asked: Interaction) {
    this.id = asked.id;
    this.kind = asked.kind;
    this.host = asked.host;
    this.hop = asked.hop;
    this.title = asked.title;
    this.text = asked.text;
    this.prompts = asked.prompts;
    this.timeout = asked.timeout;
    this.ended = this.ending.signal;
  }

  /** Takes the question from the others that were asked. Rejects with `in_use` when one of them was faster. */
  async claim(): Promise<void> {
    this.claimed ??= this.connection.request("interaction.claim", { id: this.id });
    await this.claimed;
  }

  /** One answer per prompt. A `host_key` takes `yes`, `no` or the fingerprint, a `confirm` `yes` or `no`. */
  async respond(...answers: string[]): Promise<void> {
    // Claimed first: once it is, nothing but this answer lets the login go on, so that the answer cannot cross the one to
    // an upgrade on the same connection.
    await this.claim();
    await this.connection.request("interaction.respond", { id: this.id, answers });
    this.end("answered"); // the agent tells only the others
  }

  /** The person says no; or, with a reason, could not be asked. Puts away a `notice`. */
  async decline(reason?: string): Promise<void> {
    await this.connection.request("interaction.decline", reason === undefined ? { id: this.id } : { id: this.id, reason });
    this.end("declined");
  }

  /** @internal */
  end(reason: InteractionEndReason): void {
    this.ending.abort(reason);
  }
}

/** Puts what one connection asks to `handler`, which is asked for anew each time. */
export class Asker {
  private readonly open = new Map<string, Question>();

  constructor(
    private readonly connection: Connection,
    private readonly handler: () => InteractionHandler | undefined,
    private readonly notice: NoticeHandler,
  ) {
    connection.on("notification", (method, params) => this.hear(method, params));
    connection.once("close", () => this.endAll());
  }

  /** The connection is at its end, or is none of ours any more. */
  endAll(): void {
    for (const question of [...this.open.values()]) question.end("withdrawn");
  }

  private hear(method: string, params: unknown): void {
    if (method === "interaction") {
      this.ask(new Question(this.connection, params as Interaction));
    } else if (method === "interaction.ended") {
      const { id, reason } = params as { id: string; reason: InteractionEndReason };
      this.open.get(id)?.end(reason);
    } else if (method === "notice") {
      this.notice(params as Notice);
    }
  }

  private ask(question: Question): void {
    this.open.set(question.id, question);
    question.ended.addEventListener("abort", () => this.open.delete(question.id), { once: true });
    const handler = this.handler();
    const asked = handler
      ? Promise.resolve().then(() => handler(question))
      : Promise.reject(new JumpagentError("needs_person", "this program has nobody to ask"));
    asked.catch(async (error: unknown) => {
      // A handler whose claim failed, or whose question ended meanwhile, has nothing to decline.
      if (question.ended.aborted) return;
      const lost = error instanceof JumpagentError && (error.kind === "in_use" || error.kind === "not_found");
      if (lost || question.kind === "notice") return;
      await question.decline(error instanceof Error ? error.message : String(error)).catch(() => {});
    });
  }
}
