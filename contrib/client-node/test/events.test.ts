// Events of a real agent: what the mirror knows is what status says.
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";

import { Mirror, type Agent, type EventStream, type ForwardStatus, type HostStatus } from "../src/index.js";
import { Lab } from "./support/lab.js";
import { test } from "./support/test.js";

/** Follows the events until the mirror is as wanted. The test's deadline is the only one. */
async function follow(stream: EventStream, mirror: Mirror, wanted: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await wanted())) {
    const { value, done } = await stream.next();
    assert.ok(!done, "the events have ended");
    mirror.apply(value);
  }
}
const spec = "127.0.0.1:0:svc:80";

async function agree(agent: Agent, mirror: Mirror): Promise<boolean> {
  const settled = (hosts: Iterable<HostStatus>, forwards: Iterable<ForwardStatus>) => [
    [...hosts].map(({ host, state, address, error }) => ({ host, state, address, error })),
    [...forwards].map(({ id, name, state, listen, error }) => ({ id, name, state, listen, error })),
  ];
  const { hosts, forwards } = await agent.status();
  return isDeepStrictEqual(settled(hosts, forwards), settled(mirror.hosts.values(), mirror.forwards.values()));
}

test("what changes is told, from the snapshot on", async (t) => {
  const agent = await (await Lab.start(t)).client();
  await agent.forward({ spec, via: "bastion", name: "first" });
  const mirror = new Mirror();
  const stream = agent.events();
  await follow(stream, mirror, () => mirror.forwards.size === 1 && mirror.hosts.get("bastion")?.state === "ready");
  const { forward } = await agent.forward({ spec, via: "bastion", name: "second" });
  await follow(stream, mirror, () => mirror.forwards.get(forward.id)?.state === "active");
  await follow(stream, mirror, () => agree(agent, mirror));
  await agent.closeForward("first");
  await follow(stream, mirror, () => mirror.forwards.size === 1);
  await agent.disconnectHost("bastion");
  await follow(stream, mirror, () => mirror.hosts.get("bastion")?.state !== "ready");
  await follow(stream, mirror, () => agree(agent, mirror));
});

test("only what was asked for is told", async (t) => {
  const agent = await (await Lab.start(t)).client();
  const stream = agent.events({ kinds: ["forward"] });
  assert.equal((await stream.next()).value?.type, "snapshot");
  await agent.forward({ spec, via: "bastion" });
  const { value } = await stream.next();
  assert.ok(value?.type === "change");
  assert.deepEqual([value.kind, value.action], ["forward", "added"]);
});

test("two loops, one after the other, on one connection", async (t) => {
  const agent = await (await Lab.start(t)).client();
  for (let round = 0; round < 2; ++round) {
    for await (const update of agent.events()) {
      assert.ok(update.type === "snapshot");
      assert.equal(update.missed, 0);
      break;
    }
  }
  assert.equal((await agent.status()).agent["watchers"], 0);
});
