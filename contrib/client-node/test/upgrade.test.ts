// Sessions and streams over upgraded connections, byte by byte, against a fake agent. session.test.ts and stream.test.ts
// have a real one.
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import type { TestContext } from "node:test";

import { Agent, JumpagentError, type Exit, type Session, type SessionOptions } from "../src/index.js";
import { frameHeader, FrameReader, frameType, jsonFrame, maxFrame, type Frame } from "../src/frames.js";
import { eventually } from "./support/eventually.js";
import { FakeAgent, type FakeClient, type Request } from "./support/fake-agent.js";
import { atEnd, test } from "./support/test.js";

const kind = (expected: string) => (error: unknown) => error instanceof JumpagentError && error.kind === expected;
const data = (type: number, bytes: Buffer | string) => {
  const payload = Buffer.from(bytes);
  return Buffer.concat([frameHeader(type, payload.length), payload]);
};
const end = (more: object) => jsonFrame(frameType.ended, { session: "s1", ...more });
async function text(stream: Readable): Promise<string> {
  let all = "";
  for await (const chunk of stream) all += chunk;
  return all;
}

/** The agent's side of an upgraded session. */
class Remote {
  readonly frames: Frame[] = [];
  ended = false;
  private readonly reader = new FrameReader();
  constructor(readonly socket: Socket) {
    socket.on("data", (chunk) => this.frames.push(...this.reader.feed(chunk)));
    socket.on("end", () => (this.ended = true));
    socket.resume();
  }
  bytesOf(type: number): Buffer {
    return Buffer.concat(this.frames.filter((frame) => frame.type === type).map(({ payload }) => payload));
  }
  has(type: number): boolean {
    return this.frames.some((frame) => frame.type === type);
  }
}

interface Scene {
  fake: FakeAgent;
  agent: Agent;
}
async function scene(t: TestContext, script: (request: Request, client: FakeClient) => void): Promise<Scene> {
  const fake = await FakeAgent.start(t, script);
  const agent = await Agent.connect({ socket: fake.socket });
  atEnd(t, () => agent.close());
  return { fake, agent };
}
const refuse = (request: Request, client: FakeClient) => client.refuse(request, "not_found");
async function session(
  t: TestContext, options: SessionOptions = {}, behind?: Buffer, beside: (request: Request, client: FakeClient) => void = refuse,
): Promise<{ session: Session; remote: Remote; asked: Request }> {
  let remote: Remote | undefined, asked: Request | undefined;
  const { agent } = await scene(t, (request, client) => {
    if (request.method !== "session.open") return beside(request, client);
    asked = request;
    remote = new Remote(client.upgrade(request, { session: "s1" }, behind));
  });
  const session = await agent.exec("prod", "make", options);
  atEnd(t, () => session.close());
  return { session, remote: remote!, asked: asked! };
}

test("stdout and stderr arrive apart, also what came with the answer, and then the exit status", async (t) => {
  const { session: s, remote, asked } = await session(t, {}, data(frameType.stdout, "early "));
  assert.deepEqual(asked.params, { host: "prod", command: "make", upgrade: true });
  assert.equal(s.id, "s1");
  remote.socket.write(Buffer.concat([data(2, "oops"), data(1, "out"), data(99, "of the future"), end({ exit_status: 5 })]));
  const [out, err, exit] = await Promise.all([text(s.stdout), text(s.stderr), s.exit]);
  assert.deepEqual([out, err], ["early out", "oops"]);
  assert.deepEqual(exit, { status: 5, signal: null, coreDumped: false, message: "", error: null } satisfies Exit);
  await eventually("the connection is closed", () => remote.ended || remote.socket.destroyed);
});

test("options become params", async (t) => {
  const { asked } = await session(t, { tty: { rows: 50 }, env: { A: "b" }, agentSocket: "/x", timeout: 3 });
  assert.deepEqual(asked.params, {
    host: "prod", command: "make", upgrade: true, tty: { term: "xterm-256color", columns: 80, rows: 50 }, env: { A: "b" },
    agent_socket: "/x", timeout: 3,
  });
});

test("stdin goes out in frames that are not too long, then its end", async (t) => {
  const { session: s, remote } = await session(t);
  const bytes = Buffer.alloc(5 * maxFrame + 17, "0123456789abcde");
  s.stdin.write(bytes);
  s.stdin.end("last");
  await eventually("the end of stdin", () => remote.has(frameType.stdinEnd));
  assert.ok(remote.bytesOf(frameType.stdin).equals(Buffer.concat([bytes, Buffer.from("last")])));
  assert.ok(remote.frames.every(({ payload }) => payload.length <= maxFrame));
  assert.equal(remote.frames.at(-1)?.type, frameType.stdinEnd);
  assert.equal(remote.ended, false, "the end of stdin is not the end of the connection");
});

test("sizes and signals go over the other connection", async (t) => {
  const told: [string, object][] = [];
  const { session: s, remote } = await session(t, { tty: true }, undefined, (request, client) => {
    told.push([request.method, request.params]);
    client.answer(request, {});
  });
  s.resize({ columns: 100, rows: 40 });
  s.kill("SIGINT");
  await eventually("two requests", () => told.length === 2);
  assert.deepEqual(told, [
    ["session.resize", { session: "s1", columns: 100, rows: 40 }],
    ["session.signal", { session: "s1", signal: "INT" }],
  ]);
  assert.equal(remote.frames.length, 0);
});

test("sizes and signals are frames where the agent knows no other way", async (t) => {
  const { session: s, remote } = await session(t, { tty: true });
  s.resize({ columns: 100, rows: 40 });
  s.kill("SIGINT");
  s.kill();
  await eventually("three frames", () => remote.frames.length === 3);
  assert.deepEqual(remote.frames.map(({ type, payload }) => [type, JSON.parse(payload.toString())]),
    [[5, { columns: 100, rows: 40 }], [6, { signal: "INT" }], [6, { signal: "TERM" }]]);
});

test("what nobody reads is not read from the connection either", async (t) => {
  const { session: s, remote } = await session(t);
  const frame = data(frameType.stdout, Buffer.alloc(maxFrame, 1));
  let frames = 0;
  while (remote.socket.writableLength < 4 * frame.length) {
    remote.socket.write(frame);
    ++frames;
    if (frames > 200) assert.fail("the client takes more than 12 MiB that nobody reads");
    await new Promise(setImmediate);
  }
  remote.socket.write(Buffer.concat([data(frameType.stderr, "!"), end({ exit_status: 0 })]));
  let size = 0;
  for await (const chunk of s.stdout) size += chunk.length;
  assert.equal(size, frames * maxFrame);
  assert.equal(await text(s.stderr), "!");
  assert.equal((await s.exit).status, 0);
});

test("an agent that does not read holds up stdin", async (t) => {
  const { session: s, remote } = await session(t);
  remote.socket.pause();
  const chunk = Buffer.alloc(maxFrame);
  let written = 0;
  const source = Readable.from((function* () {
    for (; written < 1000; ++written) yield chunk;
  })());
  const piped = pipeline(source, s.stdin);
  await eventually("stdin is full", () => s.stdin.writableNeedDrain);
  assert.ok(written < 100, `${written} chunks were taken`);
  remote.socket.resume();
  await piped;
  await eventually("the end of stdin", () => remote.has(frameType.stdinEnd));
  assert.equal(remote.bytesOf(frameType.stdin).length, 1000 * maxFrame);
});

test("an output that is closed early does not hold up the session", async (t) => {
  const { session: s, remote } = await session(t);
  s.stdout.destroy();
  for (let i = 0; i < 100; ++i) remote.socket.write(data(frameType.stdout, Buffer.alloc(maxFrame)));
  remote.socket.write(end({ exit_signal: "PIPE", core_dumped: false, message: "broken pipe" }));
  s.stderr.resume();
  const exit = await s.exit;
  assert.deepEqual([exit.status, exit.signal, exit.message, exit.error], [null, "PIPE", "broken pipe", null]);
});

test("a session that breaks says so to who reads, and to who waits for the exit", async (t) => {
  const { session: s, remote } = await session(t);
  remote.socket.write(data(frameType.stdout, "half"));
  const reading = text(s.stdout);
  const [chunk] = (await once(s.stdout, "data")) as [Buffer];
  assert.equal(chunk.toString(), "half");
  remote.socket.end();
  await assert.rejects(reading, kind("closed"));
  const exit = await s.exit;
  assert.equal(exit.status, null);
  assert.ok(kind("closed")(exit.error));
});

test("why the connection to the host broke is in the exit", async (t) => {
  const { session: s, remote } = await session(t);
  remote.socket.write(end({ error: { kind: "unreachable", message: "prod: no route", hint: "look at the cable" } }));
  const { error } = await s.exit;
  assert.ok(kind("unreachable")(error));
  assert.equal(error?.message, "prod: no route");
  assert.equal(error?.hint, "look at the cable");
});

test("an agent that does not speak the frames ends the session with kind protocol", async (t) => {
  const { session: s, remote } = await session(t);
  remote.socket.write("HTTP/1.1 400 Bad Request\r\n");
  assert.ok(kind("protocol")((await s.exit).error));
});

test("a refused session is an error, and its connection is closed", async (t) => {
  const { fake, agent } = await scene(t, (request, client) => client.refuse(request, "refused", "prohibited"));
  await assert.rejects(agent.exec("prod", "true"), kind("refused"));
  await eventually("closed", () => fake.clients[1]?.socket.readableEnded || fake.clients[1]?.socket.destroyed);
});

test("a signal gives up the start", async (t) => {
  const controller = new AbortController();
  const { fake, agent } = await scene(t, () => controller.abort(new Error("changed my mind")));
  await assert.rejects(agent.exec("prod", "true", { signal: controller.signal }), /changed my mind/);
  await eventually("closed", () => fake.clients[1]?.socket.readableEnded || fake.clients[1]?.socket.destroyed);
  await assert.rejects(agent.exec("prod", "true", { signal: controller.signal }), /changed my mind/);
});

test("a signal ends a session", async (t) => {
  const controller = new AbortController();
  const { session: s, remote } = await session(t, { signal: controller.signal });
  controller.abort(new Error("enough"));
  const { error } = await s.exit;
  assert.ok(kind("closed")(error));
  assert.equal((error?.cause as Error).message, "enough");
  await eventually("closed", () => remote.ended || remote.socket.destroyed);
});

test("a login that asks is answered on the session's own connection, before the upgrade's answer", async (t) => {
  let opening: Request | undefined;
  const { fake, agent } = await scene(t, (request, client) => {
    if (request.method === "session.open") {
      opening = request;
      client.send({ method: "interaction", params: { id: "i1", kind: "password", host: "prod", hop: "prod", title: "", text: "", prompts: [{ text: "password: ", echo: false }], timeout: 9 } });
    } else if (request.method === "interaction.respond") {
      client.answer(request, {});
      const socket = client.upgrade(opening!, { session: "s1" });
      socket.write(Buffer.concat([data(frameType.stdout, "in"), end({ exit_status: 0 })]));
    } else {
      client.answer(request, {});
    }
  });
  const asked: string[] = [];
  await agent.onInteraction(async (question) => {
    asked.push(question.prompts[0]?.text ?? "");
    await question.respond("hunter2");
  });
  assert.equal((await agent.run("prod", "true")).stdout.toString(), "in");
  assert.deepEqual(asked, ["password: "]);
  const [control, own] = fake.clients;
  assert.deepEqual(own?.requests.map(({ method }) => method),
    ["hello", "session.open", "interaction.claim", "interaction.respond"]);
  assert.deepEqual(own?.requests[0]?.params["capabilities"], ["interactions"]);
  assert.deepEqual(own?.requests[3]?.params, { id: "i1", answers: ["hunter2"] });
  assert.deepEqual(control?.requests.map(({ method }) => method), ["hello", "hello"]);
});

test("run gives what there was to read, and fails when the session broke", async (t) => {
  let remote: Remote | undefined;
  const { agent } = await scene(t, (request, client) => {
    remote = new Remote(client.upgrade(request, { session: "s1" },
      request.params["command"] === "good" ? Buffer.concat([data(1, "out"), data(2, "err"), end({ exit_status: 7 })]) : data(1, "half")));
    if (request.params["command"] !== "good") remote.socket.end();
  });
  const { stdout, stderr, status } = await agent.run("prod", "good", { input: "in" });
  assert.deepEqual([stdout.toString(), stderr.toString(), status], ["out", "err", 7]);
  await assert.rejects(agent.run("prod", "bad"), kind("closed"));
});

test("a stream is the connection's bytes, each direction with an end of its own", async (t) => {
  let far: Socket | undefined;
  const { agent, fake } = await scene(t, (request, client) => {
    far = client.upgrade(request, { stream: "s2", via: "prod" }, Buffer.from("\x00{not json\n"));
  });
  const stream = await agent.stream({ host: "svc", port: 80, via: "prod" });
  atEnd(t, () => stream.destroy());
  assert.deepEqual(fake.clients[1]?.requests.at(-1)?.params, { host: "svc", port: 80, via: "prod", upgrade: true });
  stream.end("request");
  // Not by `for await`, which closes both directions at the end of one.
  let asked = "";
  far!.on("data", (chunk) => (asked += chunk)).resume();
  await once(far!, "end");
  assert.equal(asked, "request");
  far!.end(Buffer.alloc(100_000, "x"));
  const got = await text(stream);
  assert.ok(got === "\x00{not json\n" + "x".repeat(100_000), `${got.length} bytes`);
});

test("a stream whose far end is closed at once still tells its end to a late reader", async (t) => {
  const { agent } = await scene(t, (request, client) => void client.upgrade(request, { stream: "s2", via: "prod" }).end());
  const stream = await agent.stream({ host: "svc", port: 80 });
  atEnd(t, () => stream.destroy());
  const ended = once(stream, "end");
  stream.resume();
  await ended;
});
