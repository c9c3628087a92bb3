// The example for VS Code, with an editor of the test's own: what a user of the extension sees and answers.
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";

import { start, type Vscode } from "../examples/vscode-extension.js";
import { eventually } from "./support/eventually.js";
import { needs } from "./support/expected.js";
import { givesTerminals, Lab } from "./support/lab.js";
import { atEnd, test } from "./support/test.js";

class Editor implements Vscode {
  readonly bar = { text: "", tooltip: "", show() {}, dispose() {} };
  readonly shown: string[] = [];
  readonly asked: { prompt: string; password: boolean }[] = [];
  readonly terminals: any[] = [];
  private readonly registered = new Map<string, (argument?: string) => unknown>();

  /** `answer`: what the user types into each input box; undefined: Escape. */
  constructor(private readonly answer: (prompt: string) => string | undefined) {}

  readonly window: Vscode["window"] = {
    createStatusBarItem: () => this.bar,
    showInputBox: async ({ prompt = "", password = false }) => {
      this.asked.push({ prompt, password });
      return this.answer(prompt);
    },
    showWarningMessage: async (message) => void this.shown.push(message),
    showInformationMessage: async (message) => this.shown.push(message),
    showErrorMessage: async (message) => this.shown.push(message),
    createTerminal: ({ pty }) => ({ show: () => this.terminals.push(pty) }),
  };
  readonly commands: Vscode["commands"] = {
    registerCommand: (name, run) => {
      this.registered.set(name, run);
      return { dispose: () => this.registered.delete(name) };
    },
  };
  readonly CancellationTokenSource = class {
    token = {};
    cancel() {}
    dispose() {}
  };
  readonly EventEmitter = class<T> {
    private readonly emitter = new EventEmitter();
    readonly event = (listener: (value: T) => void) => void this.emitter.on("fire", listener);
    fire(value: T) {
      this.emitter.emit("fire", value);
    }
  };
  async run(command: string, argument?: string): Promise<void> {
    await this.registered.get(command)?.(argument);
  }
}

const passphrase = "geheim";

test("the status bar follows, the passphrase is asked for, a forward opens", async (t) => {
  const running = await (await Lab.start(t, { passphrase })).agent();
  const editor = new Editor((prompt) => (prompt.startsWith("Log in") ? "bastion" : passphrase));
  const extension = start(editor, { socket: running.socket });
  atEnd(t, () => extension.dispose());
  await eventually("it is connected", () => editor.bar.text === "jumpagent: 0/0 hosts, 0 forwards");
  await editor.run("jumpagent.connect");
  await eventually("the host is shown", () => editor.bar.text === "jumpagent: 1/1 hosts, 0 forwards");
  assert.equal(editor.asked.length, 2);
  assert.equal(editor.asked[1]?.password, true);
  await editor.run("jumpagent.forward", "bastion 0:svc:80");
  await eventually("the forward is shown", () => editor.bar.text === "jumpagent: 1/1 hosts, 1 forwards");
  assert.match(editor.shown[0] ?? "", /^svc:80 is at 127\.0\.0\.1:\d+$/);
});

test("Escape declines, and the error is shown", async (t) => {
  const running = await (await Lab.start(t, { passphrase })).agent();
  const editor = new Editor(() => undefined);
  const extension = start(editor, { socket: running.socket });
  atEnd(t, () => extension.dispose());
  await eventually("it is connected", () => editor.bar.text.includes("hosts"));
  await editor.run("jumpagent.connect", "bastion");
  assert.match(editor.shown.join(), /bastion/);
});

test("an agent that goes and comes again is followed", async (t) => {
  const lab = await Lab.start(t);
  const running = await lab.agent();
  const editor = new Editor(() => undefined);
  const extension = start(editor, { socket: running.socket, retryMs: 10 });
  atEnd(t, () => extension.dispose());
  await eventually("it is connected", () => editor.bar.text.includes("hosts"));
  await running.stop();
  await eventually("it is off", () => editor.bar.text === "jumpagent: off");
  await editor.run("jumpagent.connect", "bastion");
  assert.match(editor.shown.join(), /jumpagent up/);
  await running.restart();
  await eventually("it is connected again", () => editor.bar.text.includes("hosts"));
});

test("a terminal is a shell on the host", async (t) => {
  const lab = await Lab.start(t);
  const running = await lab.agent();
  if (!needs(t, await running.connect(), "session") || !(await givesTerminals(t))) return;
  const editor = new Editor(() => undefined);
  const extension = start(editor, { socket: running.socket });
  atEnd(t, () => extension.dispose());
  await eventually("it is connected", () => editor.bar.text.includes("hosts"));
  await editor.run("jumpagent.shell", "bastion");
  const [pty] = editor.terminals;
  let text = "", status: number | undefined;
  pty.onDidWrite((more: string) => (text += more));
  pty.onDidClose((code: number) => (status = code));
  void pty.open({ columns: 90, rows: 30 });
  await eventually("the shell speaks", () => text !== "");
  pty.setDimensions({ columns: 100, rows: 40 });
  pty.handleInput("stty size; exit 4\r");
  await eventually("it has ended", () => status !== undefined);
  assert.equal(status, 4);
  assert.match(text, /40 100/);
});
