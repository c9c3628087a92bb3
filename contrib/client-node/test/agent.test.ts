// The client and a real agent: state, forwards, errors, and the end.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";

import { JumpagentError, type ForwardStatus } from "../src/index.js";
import { eventually } from "./support/eventually.js";
import { expectedCapabilities } from "./support/expected.js";
import { echo, Lab, service } from "./support/lab.js";
import { test } from "./support/test.js";

const kind = (expected: string) => (error: unknown) => error instanceof JumpagentError && error.kind === expected;

async function say(forward: ForwardStatus, text: string): Promise<string> {
  const [host, port] = forward.listen.split(":");
  const socket = connect(Number(port), host);
  socket.end(text);
  let answer = "";
  for await (const chunk of socket) answer += chunk;
  return answer;
}

test("the agent has what this client is tested for", async (t) => {
  const agent = await (await Lab.start(t)).client();
  assert.deepEqual(expectedCapabilities.filter((capability) => !agent.can(capability)), []);
  assert.equal(agent.hello.protocol, 1);
  const { agent: status, hosts, forwards, interactions } = await agent.status();
  assert.equal(status.pid, agent.hello.pid);
  assert.equal(status.instance, agent.hello.instance);
  assert.equal(status.socket, agent.socket);
  assert.equal(status.state, "running");
  assert.deepEqual([hosts, forwards, interactions], [[], [], []]);
});

test("a host is connected, told of, and disconnected", async (t) => {
  const agent = await (await Lab.start(t)).client();
  const host = await agent.connectHost("bastion", { timeout: 30 });
  assert.equal(host.state, "ready");
  assert.match(host.address, /@127\.0\.0\.1:\d+$/);
  assert.deepEqual((await agent.hosts()).map(({ host }) => host), ["bastion"]);
  assert.equal((await agent.diagnose("bastion")).healthy, true);
  assert.ok((await agent.diagnose()).steps.length > 0);
  await agent.disconnectHost("bastion");
  await assert.rejects(agent.disconnectHost("nobody"), kind("not_found"));
});

test("a forward carries bytes until it is closed", async (t) => {
  const agent = await (await Lab.start(t)).client();
  const port = await service(t, echo);
  const wish = { spec: `127.0.0.1:0:127.0.0.1:${port}`, via: "bastion", name: "echo" };
  const { forward, existing } = await agent.forward(wish);
  assert.equal(existing, false);
  assert.equal(forward.state, "active");
  assert.equal(await say(forward, "through the bastion"), "through the bastion");
  assert.deepEqual((await agent.forwards()).map(({ id }) => id), [forward.id]);
  const closed = await agent.closeForward("echo");
  assert.equal(closed.connections_total, 1);
  assert.equal(closed.bytes_out, 19);
  assert.deepEqual(await agent.forwards(), []);
});

test("errors say what is wrong and have the kind that programs act on", async (t) => {
  const agent = await (await Lab.start(t)).client();
  await assert.rejects(agent.forward({ spec: "no spec", via: "bastion" }), kind("invalid"));
  await assert.rejects(agent.closeForward("f99"), kind("not_found"));
  const taken = await service(t, echo);
  await assert.rejects(agent.forward({ spec: `127.0.0.1:${taken}:svc:80`, via: "bastion" }), (error: unknown) => {
    assert.ok(kind("in_use")(error), String(error));
    assert.match((error as Error).message, new RegExp(`${taken}`));
    return true;
  });
  await assert.rejects(agent.call("of.the.future" as "status", {}), kind("unsupported"));
});

test("a held forward ends with the client", async (t) => {
  const running = await (await Lab.start(t)).agent();
  const [holder, other] = [await running.connect(), await running.connect()];
  await holder.forward({ spec: "127.0.0.1:0:svc:80", via: "bastion", hold: true });
  assert.equal((await other.forwards()).length, 1);
  holder.close();
  await eventually("the forward is gone", async () => (await other.forwards()).length === 0);
});

test("shutdown ends the agent, which is heard as close", async (t) => {
  const running = await (await Lab.start(t)).agent();
  const agent = await running.connect();
  const closed = once(agent, "close");
  await agent.shutdown({ now: true });
  const [error] = await closed;
  assert.ok(kind("closed")(error));
  await eventually("nobody answers", async () => !(await running.answers()));
  await running.ended();
});

test("the death of the agent is heard as close", async (t) => {
  const running = await (await Lab.start(t)).agent();
  const agent = await running.connect();
  const closed = once(agent, "close");
  running.kill();
  assert.ok(kind("closed")((await closed)[0]));
});
