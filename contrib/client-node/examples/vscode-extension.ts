// A start for a VS Code extension: a status bar that follows the agent, dialogs for what logins ask, and three commands
// (log in, open a forward, open a shell in a terminal). In an extension, all that is missing is
//
//   import * as vscode from "vscode";
//   import { start } from "./vscode-extension.js";
//   export function activate(context: vscode.ExtensionContext) { context.subscriptions.push(start(vscode)); }
//
// Flow: events → mirror → status bar; question → dialog → answer; command → request. Invariant: whatever the agent does
// (not running, ending, starting again), the extension stays, says so, and connects again by itself.
import { finished } from "node:stream/promises";

import { Agent, JumpagentError, Mirror, type Question, type Session } from "../src/index.js";

/** What is used of `vscode`, under the same names; so the example needs no editor to be compiled and tested. */
export interface Vscode {
  window: {
    createStatusBarItem(): { text: string; tooltip?: any; show(): void; dispose(): void };
    showInputBox(options: { title?: string; prompt?: string; password?: boolean; ignoreFocusOut?: boolean }, token?: any): PromiseLike<string | undefined>;
    showWarningMessage(message: string, options: { modal?: boolean; detail?: string }, ...items: string[]): PromiseLike<string | undefined>;
    showInformationMessage(message: string): PromiseLike<unknown>;
    showErrorMessage(message: string): PromiseLike<unknown>;
    createTerminal(options: { name: string; pty: any }): { show(): void };
  };
  commands: { registerCommand(name: string, run: (...args: any[]) => unknown): { dispose(): void } };
  CancellationTokenSource: new () => { token: any; cancel(): void; dispose(): void };
  EventEmitter: new <T>() => { event: any; fire(value: T): void };
}

export interface StartOptions {
  /** Path of the control socket, if not the usual one. */
  socket?: string;
  /** Pause before the next try to find an agent. */
  retryMs?: number;
}

export function start(vscode: Vscode, options: StartOptions = {}): { dispose(): void } {
  const extension = new Extension(vscode, options);
  void extension.follow();
  return extension;
}

class Extension {
  private agent: Agent | undefined;
  private over = false;
  private timer: NodeJS.Timeout | undefined;
  private readonly bar;
  private readonly commands;

  constructor(private readonly vscode: Vscode, private readonly options: StartOptions) {
    this.bar = vscode.window.createStatusBarItem();
    this.bar.show();
    this.commands = [
      this.command("jumpagent.connect", "Log in to which host?", async (agent, host) => {
        await agent.connectHost(host);
      }),
      this.command("jumpagent.forward", "HOST and what to forward, as in: prod 8080:svc:80", async (agent, line) => {
        const [via = "", spec = ""] = line.trim().split(/\s+/);
        const { forward } = await agent.forward({ via, spec });
        void vscode.window.showInformationMessage(`${forward.target} is at ${forward.listen}`);
      }),
      this.command("jumpagent.shell", "A shell on which host?", async (agent, host) => {
        vscode.window.createTerminal({ name: host, pty: terminal(vscode, agent, host) }).show();
      }),
    ];
  }

  /** Finds the agent, and shows how it does, again and again. */
  async follow(): Promise<void> {
    while (!this.over) {
      try {
        await this.followOnce();
      } catch (error) {
        this.show("jumpagent: off", error instanceof JumpagentError ? [error.message, error.hint].join("\n") : String(error));
      }
      this.agent = undefined;
      if (!this.over) await new Promise((resolve) => (this.timer = setTimeout(resolve, this.options.retryMs ?? 2000)));
    }
  }

  private async followOnce(): Promise<void> {
    const { socket } = this.options;
    const agent = await Agent.connect({ client: "vscode-example 1", ...(socket !== undefined && { socket }) });
    if (this.over) return agent.close();
    this.agent = agent;
    agent.on("notice", ({ hop, text }) => void this.vscode.window.showInformationMessage(`${hop}: ${text}`));
    await agent.onInteraction((question) => this.ask(question), { everything: true });
    const mirror = new Mirror();
    for await (const update of agent.events({ kinds: ["host", "forward"] })) {
      mirror.apply(update);
      this.showMirror(mirror);
    }
  }

  private showMirror({ hosts, forwards }: Mirror): void {
    const ready = [...hosts.values()].filter(({ state }) => state === "ready").length;
    const lines = [
      ...[...hosts.values()].map(({ host, state, error }) => `${host}: ${state}${error && `, ${error}`}`),
      ...[...forwards.values()].map(({ listen, target, via, state }) => `${listen} → ${target} via ${via}: ${state}`),
    ];
    this.show(`jumpagent: ${ready}/${hosts.size} hosts, ${forwards.size} forwards`, lines.join("\n"));
  }

  private show(text: string, tooltip: string): void {
    this.bar.text = text;
    this.bar.tooltip = tooltip;
  }

  // --- questions ---
  private async ask(question: Question): Promise<void> {
    if (question.kind === "notice") {
      void this.vscode.window.showInformationMessage(`${question.hop}: ${question.title} ${question.text}`);
      return;
    }
    await question.claim(); // rejects when another window has it: nothing is shown then
    const answers: string[] = [];
    for (const { text, echo } of question.prompts) {
      const yesOrNo = question.kind === "host_key" || question.kind === "confirm";
      const answer = yesOrNo ? await this.confirm(question, text) : await this.input(question, text, !echo);
      if (question.ended.aborted) return; // timed out, or the login is over
      if (answer === undefined) return question.decline();
      answers.push(answer);
    }
    await question.respond(...answers);
  }

  private async confirm(question: Question, prompt: string): Promise<string | undefined> {
    const detail = [question.hop, question.text].filter(Boolean).join("\n");
    const chosen = await this.vscode.window.showWarningMessage(question.title || prompt, { modal: true, detail }, "Yes", "No");
    return chosen?.toLowerCase();
  }

  private async input(question: Question, prompt: string, password: boolean): Promise<string | undefined> {
    const source = new this.vscode.CancellationTokenSource();
    const cancel = () => source.cancel();
    question.ended.addEventListener("abort", cancel, { once: true });
    try {
      const title = question.title || question.hop;
      return await this.vscode.window.showInputBox({ title, prompt, password, ignoreFocusOut: true }, source.token);
    } finally {
      question.ended.removeEventListener("abort", cancel);
      source.dispose();
    }
  }

  // --- commands ---
  private command(name: string, prompt: string, run: (agent: Agent, argument: string) => Promise<void>): { dispose(): void } {
    return this.vscode.commands.registerCommand(name, async (given?: string) => {
      const argument = given ?? (await this.vscode.window.showInputBox({ prompt }));
      if (argument === undefined) return;
      try {
        if (!this.agent?.connected) throw new JumpagentError("no_agent", "no agent is running", "start it with: jumpagent up");
        await run(this.agent, argument);
      } catch (error) {
        const text = error instanceof JumpagentError ? [error.message, error.hint].filter(Boolean).join("; ") : String(error);
        void this.vscode.window.showErrorMessage(text);
      }
    });
  }

  dispose(): void {
    this.over = true;
    clearTimeout(this.timer);
    this.agent?.close();
    for (const command of this.commands) command.dispose();
    this.bar.dispose();
  }
}

/** A pseudoterminal whose other end is a shell on the host. */
function terminal(vscode: Vscode, agent: Agent, host: string) {
  const written = new vscode.EventEmitter<string>();
  const closed = new vscode.EventEmitter<number | void>();
  const abandoned = new AbortController();
  let session: Session | undefined;
  return {
    onDidWrite: written.event,
    onDidClose: closed.event,
    async open(size?: { columns: number; rows: number }) {
      try {
        session = await agent.shell(host, { tty: { ...size }, signal: abandoned.signal });
      } catch (error) {
        written.fire(`${error instanceof Error ? error.message : error}\r\n`);
        return closed.fire(1);
      }
      // Characters of several bytes may come in pieces.
      session.stdout.setEncoding("utf8").on("data", (text: string) => written.fire(text));
      session.stderr.setEncoding("utf8").on("data", (text: string) => written.fire(text));
      const [{ status, error }] = await Promise.all([session.exit, finished(session.stdout).catch(() => {})]);
      if (error) written.fire(`\r\n${error.message}\r\n`);
      closed.fire(status ?? 1);
    },
    close: () => abandoned.abort(),
    handleInput: (text: string) => void session?.stdin.write(text),
    setDimensions: (size: { columns: number; rows: number }) => session?.resize(size),
  };
}
