// Sessions through a real agent to a real sshd.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { TestContext } from "node:test";

import { JumpagentError, type Agent } from "../src/index.js";
import { eventually } from "./support/eventually.js";
import { needs } from "./support/expected.js";
import { givesTerminals, Lab, type LabOptions } from "./support/lab.js";
import { test } from "./support/test.js";

const kind = (expected: string) => (error: unknown) => error instanceof JumpagentError && error.kind === expected;
const bulk = 32 * 1024 * 1024;

function sessionTest(name: string, body: (agent: Agent, lab: Lab, t: TestContext) => Promise<void>, options: LabOptions = {}): void {
  test(name, async (t) => {
    const lab = await Lab.start(t, options);
    const agent = await lab.client();
    if (needs(t, agent, "session")) await body(agent, lab, t);
  });
}

sessionTest("exit statuses are the command's own", async (agent) => {
  for (const status of [0, 1, 4, 44, 255]) {
    assert.equal((await agent.run("bastion", `exit ${status}`)).status, status);
  }
});

sessionTest("a signal's name is reported", async (agent) => {
  const { status, signal } = await agent.run("bastion", "kill -TERM $$");
  assert.deepEqual([status, signal], [null, "TERM"]);
});

sessionTest("stdout and stderr are apart, and binary", async (agent) => {
  const { stdout, stderr } = await agent.run("bastion", "printf 'a\\000b\\377'; echo oops >&2");
  assert.deepEqual([stdout.toString("latin1"), stderr.toString()], ["a\0b\xff", "oops\n"]);
});

sessionTest("bulk goes through stdin and stdout unharmed", async (agent) => {
  const chunk = Buffer.alloc(1 << 16);
  const [sent, got] = [createHash("sha256"), createHash("sha256")];
  const session = await agent.exec("bastion", "cat");
  const source = Readable.from((function* () {
    for (let at = 0; at < bulk; at += chunk.length) {
      for (let i = 0; i < chunk.length; i += 4) chunk.writeUInt32LE((at + i) >>> 0, i);
      const part = Buffer.from(chunk);
      sent.update(part);
      yield part;
    }
  })());
  session.stderr.resume();
  await Promise.all([pipeline(source, session.stdin), pipeline(session.stdout, got)]);
  assert.equal((await session.exit).status, 0);
  assert.equal(got.digest("hex"), sent.digest("hex"));
});

sessionTest("what comes out of a command that ends while stdin is still written is whole", async (agent) => {
  const { status, stdout } = await agent.run("bastion", "head -c 5; exit 7", { input: Buffer.alloc(4 << 20, "x") });
  assert.deepEqual([status, stdout.toString()], [7, "xxxxx"]);
});

sessionTest("a reader that stops holds up the command, and the rest still comes", async (agent) => {
  const session = await agent.exec("bastion", `head -c ${bulk} /dev/zero; echo done >&2`);
  session.stdin.end();
  let size = 0;
  for await (const chunk of session.stdout) {
    size += chunk.length;
    if (size === chunk.length) await agent.status(); // a pause, while the control connection goes on
  }
  assert.equal(size, bulk);
  session.stderr.resume();
  assert.equal((await session.exit).status, 0);
});

sessionTest("a terminal has a type and a size, which can change", async (agent, _, t) => {
  if (!(await givesTerminals(t))) return;
  const session = await agent.exec("bastion", "echo $TERM; stty size; read line; stty size", { tty: { term: "vt100", rows: 30, columns: 90 } });
  let text = "";
  session.stdout.on("data", (chunk) => (text += chunk));
  session.stderr.resume();
  await eventually("the first size", () => text.includes("30 90"));
  assert.match(text, /^vt100\r\n/);
  session.resize({ rows: 50, columns: 132 });
  session.stdin.write("\n");
  assert.equal((await session.exit).status, 0);
  await eventually("the second size", () => text.includes("50 132"));
});

sessionTest("env arrives as far as AcceptEnv allows", async (agent) => {
  const { stdout } = await agent.run("bastion", "echo [$JUMP_A] [$OTHER]", { env: { JUMP_A: "ä b", OTHER: "no" } });
  assert.equal(stdout.toString(), "[ä b] []\n");
}, { sshd: ["AcceptEnv JUMP_*"] });

sessionTest("kill sends a signal to the command", async (agent, lab) => {
  const session = await agent.exec("bastion", "echo ready; exec sleep 600");
  await once(session.stdout, "data");
  session.stdout.resume();
  session.stderr.resume();
  let signal: string | null = null;
  void session.exit.then((exit) => (signal = exit.signal));
  session.kill("SIGTERM");
  // For root, sshd hears the signal and does not deliver it.
  const heard = () => lab.sshdLog().includes("session signalling requires privilege separation");
  await eventually("the signal arrives", () => signal === "TERM" || (process.getuid?.() === 0 && heard()));
  session.close();
});

sessionTest("kill and resize overtake stdin that the command does not read", async (agent, _, t) => {
  if (!(await givesTerminals(t))) return;
  const session = await agent.exec("bastion", "trap 'stty size; exit 5' WINCH; stty raw -echo; echo ready; while :; do sleep 0.05; done", { tty: true });
  let text = "";
  session.stdout.on("data", (chunk) => (text += chunk));
  session.stderr.resume();
  await eventually("it is ready", () => text.includes("ready"));
  session.stdin.write(Buffer.alloc(64 << 20, "x"));
  await eventually("it is stuck", async () => ((await agent.hosts())[0]?.queued_out ?? 0) > 0);
  session.kill("USR1");
  session.resize({ rows: 33, columns: 111 });
  assert.equal((await session.exit).status, 5);
  assert.match(text, /33 111/);
});

sessionTest("an abort ends the session at once", async (agent) => {
  const controller = new AbortController();
  const session = await agent.exec("bastion", "echo ready; exec cat", { signal: controller.signal });
  await once(session.stdout, "data");
  controller.abort();
  assert.ok(kind("closed")((await session.exit).error));
  await eventually("its channel is closed", async () => (await agent.hosts())[0]?.channels === 0);
});

sessionTest("a shell reads commands", async (agent) => {
  const shell = await agent.shell("bastion", { tty: false });
  shell.stdin.end("echo $((6*7))\nexit 3\n");
  shell.stderr.resume();
  let text = "";
  for await (const chunk of shell.stdout) text += chunk;
  assert.match(text, /42/);
  assert.equal((await shell.exit).status, 3);
});

sessionTest("a subsystem speaks", async (agent) => {
  const sftp = await agent.subsystem("bastion", "sftp");
  sftp.stdin.write(Buffer.from([0, 0, 0, 5, 1, 0, 0, 0, 3])); // SSH_FXP_INIT, version 3
  const [answer] = (await once(sftp.stdout, "data")) as [Buffer];
  assert.equal(answer[4], 2); // SSH_FXP_VERSION
  sftp.close();
}, { sshd: ["Subsystem sftp internal-sftp"] });

sessionTest("many at once, beyond the server's MaxSessions", async (agent) => {
  const results = await Promise.all(Array.from({ length: 24 }, (_, i) => agent.run("bastion", `echo ${i}; exit ${i}`)));
  assert.deepEqual(results.map(({ status, stdout }) => [status, stdout.toString()]),
    Array.from({ length: 24 }, (_, i) => [i, `${i}\n`]));
});

sessionTest("a login that exec causes asks its own client", async (agent) => {
  const asked: string[] = [];
  await agent.onInteraction(async (question) => {
    asked.push(question.kind);
    await question.respond("geheim");
  });
  assert.equal((await agent.run("bastion", "echo in")).stdout.toString(), "in\n");
  assert.deepEqual(asked, ["passphrase"]);
}, { passphrase: "geheim" });

sessionTest("without a handler exec fails with needs_person", async (agent) => {
  await assert.rejects(agent.exec("bastion", "true"), kind("needs_person"));
}, { passphrase: "geheim" });

sessionTest("what is refused says why", async (agent) => {
  await assert.rejects(agent.subsystem("bastion", "no-such-subsystem"), kind("refused"));
});

test("the agent's end is the session's, and is told", async (t) => {
  const running = await (await Lab.start(t)).agent();
  const agent = await running.connect();
  if (!needs(t, agent, "session")) return;
  const session = await agent.exec("bastion", "echo ready; exec cat");
  await once(session.stdout, "data");
  await agent.shutdown({ now: true });
  assert.ok((await session.exit).error instanceof JumpagentError);
  await running.ended();
});

sessionTest("what ssh_config says about sessions can be asked", async (agent) => {
  const options = await agent.hostOptions("bastion");
  assert.equal(options.request_tty, "auto");
  assert.deepEqual(options.set_env, {});
});
