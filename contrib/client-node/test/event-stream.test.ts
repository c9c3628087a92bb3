// The iterator over events, and the mirror: no change is lost, doubled or undone, whatever comes in between. The agent is a
// fake, as a real one cannot be told to lag at will; see events.test.ts for a real one.
import assert from "node:assert/strict";
import type { TestContext } from "node:test";

import { Agent, JumpagentError, Mirror, type EventStream, type Update } from "../src/index.js";
import { eventually } from "./support/eventually.js";
import { FakeAgent, type FakeClient, type Request } from "./support/fake-agent.js";
import { atEnd, test } from "./support/test.js";

const empty = { hosts: [], forwards: [], sessions: [], interactions: [] };
const hosts = (...names: string[]) => ({ ...empty, hosts: names.map((host) => ({ host, state: "idle" })) });
const event = (seq: number, id: string, action = "changed") => ({
  method: "event",
  params: { seq, kind: "host", action, id, ...(action !== "removed" && { host: { host: id, state: `ready ${seq}` } }) },
});

interface Scene {
  agent: Agent;
  client: FakeClient;
  /** The requests for a subscription, so far. */
  asked: Request[];
}
async function scene(t: TestContext, subscribe: (request: Request, client: FakeClient, count: number) => void): Promise<Scene> {
  const asked: Request[] = [];
  const fake = await FakeAgent.start(t, (request, client) => {
    if (request.method === "events.subscribe") subscribe(request, client, asked.push(request));
    else client.answer(request, request.method === "forward.list" ? { forwards: [] } : {});
  });
  const agent = await Agent.connect({ socket: fake.socket });
  atEnd(t, () => agent.close());
  return { agent, client: fake.clients[0]!, asked };
}
async function take(stream: EventStream, count: number): Promise<Update[]> {
  const updates: Update[] = [];
  while (updates.length < count) {
    const { value, done } = await stream.next();
    assert.ok(!done, "the stream has ended");
    updates.push(value);
  }
  return updates;
}
const named = (updates: Update[]) =>
  updates.map((update) => (update.type === "change" ? `${update.action} ${update.id}` : `snapshot, ${update.missed} missed`));

test("changes that come with the answer itself are not lost", async (t) => {
  const { agent } = await scene(t, (request, client) =>
    client.send({ id: request.id, result: { seq: 4, snapshot: hosts("a") } }, event(5, "a"), event(6, "b", "added"), event(7, "a", "removed")));
  const updates = await take(agent.events(), 4);
  assert.deepEqual(named(updates), ["snapshot, 0 missed", "changed a", "added b", "removed a"]);
  const mirror = new Mirror();
  for (const update of updates) mirror.apply(update);
  assert.deepEqual([...mirror.hosts.values()], [{ host: "b", state: "ready 6" }]);
});

test("the options reach the agent", async (t) => {
  const { agent, asked } = await scene(t, (request, client) => client.answer(request, { seq: 0, snapshot: empty }));
  await take(agent.events({ kinds: ["forward"], counters: true }), 1);
  assert.deepEqual(asked[0]?.params, { kinds: ["forward"], counters: true });
});

test("after events.lagged comes a snapshot that says how much was missed", async (t) => {
  const { agent } = await scene(t, (request, client) =>
    client.send({ id: request.id, result: { seq: 0, snapshot: empty } }, event(1, "a"),
      { method: "events.lagged", params: { seq: 13, missed: 12, snapshot: hosts("x") } }, event(14, "x")));
  const stream = agent.events();
  await agent.forwards(); // everything has come
  // The unread change is in the snapshot as well: it must not be told after it.
  const updates = await take(stream, 2);
  assert.deepEqual(named(updates), ["snapshot, 13 missed", "changed x"]);
});

test("a reader that is too slow gets a snapshot, and the connection is read on", async (t) => {
  const flood = 5000;
  const { agent, asked } = await scene(t, (request, client, count) => {
    client.answer(request, { seq: 0, snapshot: hosts(`snapshot${count}`) });
    if (count === 1) for (let seq = 1; seq <= flood; ++seq) client.send(event(seq, "a"));
    else client.send(event(1, "b"));
  });
  const stream = agent.events();
  await agent.forwards();
  assert.equal(asked.length, 1, "nobody reads yet");
  const updates = await take(stream, 2);
  assert.deepEqual(named(updates), [`snapshot, ${flood} missed`, "changed b"]);
  assert.equal(asked.length, 2);
});

test("a gap in the numbers leads to a snapshot", async (t) => {
  const { agent } = await scene(t, (request, client, count) => {
    client.answer(request, { seq: 0, snapshot: empty });
    client.send(...(count === 1 ? [event(1, "a"), event(3, "a")] : []));
  });
  const stream = agent.events();
  await agent.forwards();
  assert.deepEqual(named(await take(stream, 1)), ["snapshot, 3 missed"]);
});

test("leaving the loop unsubscribes, and another may begin", async (t) => {
  const { agent, client, asked } = await scene(t, (request, client) => client.answer(request, { seq: 0, snapshot: empty }));
  const first = agent.events();
  assert.throws(() => agent.events(), (error: unknown) => error instanceof JumpagentError && error.kind === "in_use");
  for await (const update of first) {
    assert.equal(update.type, "snapshot");
    break;
  }
  assert.ok(client.requests.some(({ method }) => method === "events.unsubscribe"));
  await take(agent.events(), 1);
  assert.equal(asked.length, 2);
});

test("a signal ends a loop that waits", async (t) => {
  const { agent, client } = await scene(t, (request, client) => client.answer(request, { seq: 0, snapshot: empty }));
  const controller = new AbortController();
  let seen = 0;
  for await (const _ of agent.events({ signal: controller.signal })) {
    ++seen;
    setImmediate(() => controller.abort());
  }
  assert.equal(seen, 1);
  await eventually("unsubscribed", () => client.requests.some(({ method }) => method === "events.unsubscribe"));
});

test("the loop fails when the agent goes", async (t) => {
  const { agent, client } = await scene(t, (request, client) => client.answer(request, { seq: 0, snapshot: empty }));
  const stream = agent.events();
  await take(stream, 1);
  const next = stream.next();
  client.socket.end();
  await assert.rejects(next, (error: unknown) => error instanceof JumpagentError && error.kind === "closed");
  assert.deepEqual(await stream.next(), { value: undefined, done: true });
});

test("a refused subscription fails the loop, and another may begin", async (t) => {
  const { agent } = await scene(t, (request, client, count) =>
    count === 1 ? client.refuse(request, "invalid") : client.answer(request, { seq: 0, snapshot: empty }));
  await assert.rejects(agent.events().next(), (error: unknown) => error instanceof JumpagentError && error.kind === "invalid");
  await take(agent.events(), 1);
});
