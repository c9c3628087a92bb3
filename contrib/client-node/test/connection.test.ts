// The connection to the agent: what is answered how, and how it ends. The agent is a fake; see agent.test.ts for a real one.
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";

import { Agent, JumpagentError, socketPath } from "../src/index.js";
import { FakeAgent, type Request } from "./support/fake-agent.js";
import { tempDir } from "./support/temp-dir.js";
import { atEnd, test } from "./support/test.js";

const connect = (fake: FakeAgent) => Agent.connect({ socket: fake.socket });
const kind = (expected: string) => (error: unknown) => {
  assert.ok(error instanceof JumpagentError, String(error));
  assert.equal(error.kind, expected, error.message);
  return true;
};

test("the socket's path follows the rules of the protocol", () => {
  const home = "/home/me";
  assert.equal(socketPath({ JUMPAGENT_SOCK: "/a/b", XDG_RUNTIME_DIR: "/run/1" }, home), "/a/b");
  assert.equal(socketPath({ JUMPAGENT_SOCK: "", XDG_RUNTIME_DIR: "/run/1" }, home), "/run/1/jumpagent/control.sock");
  assert.equal(socketPath({ XDG_RUNTIME_DIR: "run", XDG_STATE_HOME: "/st" }, home), "/st/jumpagent/control.sock");
  assert.equal(socketPath({ XDG_STATE_HOME: "", HOME: "/h" }, home), "/h/.local/state/jumpagent/control.sock");
  assert.equal(socketPath({ HOME: "relative" }, home), "/home/me/.local/state/jumpagent/control.sock");
  assert.throws(() => socketPath({}, ""), kind("not_found"));
  assert.equal(socketPath({ JUMPAGENT_SOCK: "/" + "x".repeat(102) }).length, 103);
  assert.throws(() => socketPath({ JUMPAGENT_SOCK: "/" + "ü".repeat(60) }), kind("invalid"));
});

test("no agent is an error of its own, whether there is no socket or nobody listens", async (t) => {
  const directory = await tempDir(t);
  await assert.rejects(Agent.connect({ socket: join(directory, "none") }), kind("no_agent"));
  const stale = join(directory, "stale");
  await writeFile(stale, "");
  await assert.rejects(Agent.connect({ socket: stale }), kind("no_agent"));
});

test("answers in any order find their requests", async (t) => {
  const asked: Request[] = [];
  const fake = await FakeAgent.start(t, (request, client) => {
    asked.push(request);
    if (asked.length === 3) for (const each of asked.reverse()) client.answer(each, { forward: { id: each.params["forward"] } });
  });
  const agent = await connect(fake);
  const closed = await Promise.all(["a", "b", "c"].map((name) => agent.closeForward(name)));
  assert.deepEqual(closed.map(({ id }) => id), ["a", "b", "c"]);
});

test("an error has kind, hint and code; a kind that is not known is refused", async (t) => {
  const fake = await FakeAgent.start(t, (request, client) => {
    const errors: Record<string, object> = {
      a: { code: -32000, message: "port taken", data: { kind: "in_use", hint: "choose another port" } },
      b: { code: -32000, message: "?", data: { kind: "of the future", hint: "" } },
      c: { code: -32601, message: "unknown method" },
      d: { code: -32602, message: "params.forward: missing" },
    };
    client.send({ id: request.id, error: errors[request.params["forward"] as string] });
  });
  const agent = await connect(fake);
  await assert.rejects(agent.closeForward("a"), (error: unknown) => {
    assert.ok(error instanceof JumpagentError);
    const { kind, hint, code, message } = error;
    assert.deepEqual({ kind, hint, code, message },
      { kind: "in_use", hint: "choose another port", code: -32000, message: "port taken" });
    return true;
  });
  await assert.rejects(agent.closeForward("b"), kind("refused"));
  await assert.rejects(agent.closeForward("c"), kind("unsupported"));
  await assert.rejects(agent.closeForward("d"), kind("invalid"));
});

test("a request that would cost the connection is not sent", async (t) => {
  const fake = await FakeAgent.start(t, (request, client) => client.answer(request, { forwards: [] }));
  const agent = await connect(fake);
  await assert.rejects(agent.closeForward("x".repeat(1 << 20)), kind("limit"));
  assert.deepEqual(await agent.forwards(), []);
});

test("half a surrogate pair, which no UTF-8 has, is not sent", async (t) => {
  const fake = await FakeAgent.start(t, (request, client) => client.answer(request, { forwards: [], forward: request.params }));
  const agent = await connect(fake);
  for (const text of ["\ud800", "a\udc00b", "\ud83d\ud83d\ude00", "x".repeat(1000) + "\udbff"]) {
    await assert.rejects(agent.closeForward(text), (error: unknown) => {
      assert.ok(kind("invalid")(error));
      assert.match((error as Error).message, /forward\.close: forward:/);
      return true;
    });
    await assert.rejects(agent.run("bastion", "true", { env: { [text]: "name" } }), kind("invalid"));
    await assert.rejects(agent.run("bastion", "true", { env: { A: text } }), kind("invalid"));
  }
  assert.deepEqual(await agent.closeForward("\u{1f600} ä \\ud800"), { forward: "\u{1f600} ä \\ud800" });
  assert.equal(fake.clients.flatMap(({ requests }) => requests).filter(({ method }) => method !== "hello").length, 1);
});

test("an error that names no request fails all that wait, as one of them is meant", async (t) => {
  const fake = await FakeAgent.start(t, (request, client) => {
    if (request.method === "status") client.send({ id: null, error: { code: -32700, message: "not UTF-8" } });
  });
  const agent = await connect(fake);
  const closed = once(agent, "close");
  const waiting = [agent.forwards(), agent.status()];
  for (const each of waiting) await assert.rejects(each, /not UTF-8/);
  assert.match(String((await closed)[0]), /not UTF-8/);
  await assert.rejects(agent.forwards(), /not UTF-8/);
});

test("a signal gives up waiting, and the late answer is nobody's", async (t) => {
  const fake = await FakeAgent.start(t, (request, client) => {
    if (request.method === "host.connect") return; // for now
    client.send({ id: request.id - 1, result: { host: {}, existing: false } }, { id: request.id, result: { forwards: [] } });
  });
  const agent = await connect(fake);
  const controller = new AbortController();
  const waiting = agent.connectHost("slow", { signal: controller.signal });
  controller.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  await assert.rejects(agent.connectHost("slow", { signal: controller.signal }), /enough/);
  assert.deepEqual(await agent.forwards(), []);
});

test("when the agent goes, waiting requests fail and close is told once", async (t) => {
  const fake = await FakeAgent.start(t, (_, client) => client.socket.end());
  const agent = await connect(fake);
  let closes = 0;
  agent.on("close", () => ++closes);
  const closed = once(agent, "close");
  await assert.rejects(agent.status(), kind("closed"));
  const [error] = await closed;
  assert.ok(kind("closed")(error));
  assert.equal(agent.connected, false);
  await assert.rejects(agent.status(), kind("closed"));
  agent.close();
  assert.equal(closes, 1);
});

test("close() fails what waits, and is no error", async (t) => {
  const fake = await FakeAgent.start(t, () => {});
  const agent = await connect(fake);
  const closed = once(agent, "close");
  const waiting = agent.status();
  agent.close();
  await assert.rejects(waiting, kind("closed"));
  assert.deepEqual(await closed, [undefined]);
});

test("what the agent says to nobody in particular is why it closed", async (t) => {
  const socket = join(await tempDir(t), "full.sock");
  const full = createServer((client) => {
    client.end('{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"too many clients","data":{"kind":"limit"}}}\n');
  }).listen(socket);
  atEnd(t, () => full.close());
  await once(full, "listening");
  await assert.rejects(Agent.connect({ socket }), kind("limit"));
});

test("what is not JSON ends the connection with kind protocol", async (t) => {
  const fake = await FakeAgent.start(t, (_, client) => client.socket.write("SSH-2.0-oops\r\n"));
  const agent = await connect(fake);
  await assert.rejects(agent.status(), kind("protocol"));
});

test("unknown notifications and fields are ignored", async (t) => {
  const fake = await FakeAgent.start(t, (request, client) =>
    client.send({ method: "of.the.future", params: { x: 1 } }, { id: request.id, result: { forwards: [], more: true }, also: 1 }));
  assert.deepEqual(await (await connect(fake)).forwards(), []);
});
