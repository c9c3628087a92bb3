// Questions of real logins: put to the handler, answered, declined, or nobody's.
import assert from "node:assert/strict";

import { JumpagentError, type Question } from "../src/index.js";
import { eventually } from "./support/eventually.js";
import { Lab } from "./support/lab.js";
import { test } from "./support/test.js";

const passphrase = "Zq7-pLw9 \"ä\"";
const kind = (expected: string) => (error: unknown) => {
  assert.ok(error instanceof JumpagentError, String(error));
  assert.equal(error.kind, expected, error.message);
  return true;
};

test("a passphrase is asked for, and its answer lets the login go on", async (t) => {
  const agent = await (await Lab.start(t, { passphrase })).client();
  const asked: Question[] = [];
  await agent.onInteraction(async (question) => {
    asked.push(question);
    await question.claim();
    await question.respond(passphrase);
  });
  assert.equal((await agent.connectHost("bastion")).state, "ready");
  assert.deepEqual(asked.map(({ kind, host, prompts }) => [kind, host, prompts.map(({ echo }) => echo)]),
    [["passphrase", "bastion", [false]]]);
  await eventually("the question is over", () => asked[0]?.ended.aborted);
});

test("an unknown host key is shown with its fingerprint, which is an answer", async (t) => {
  const lab = await Lab.start(t, { unknownHostKey: true });
  const agent = await lab.client();
  await agent.onInteraction(async (question) => {
    assert.equal(question.kind, "host_key");
    assert.ok(question.text.includes(lab.hostKey), question.text);
    await question.respond(lab.hostKey);
  });
  assert.equal((await agent.connectHost("bastion")).state, "ready");
});

test("declining fails the login with cancelled", async (t) => {
  const agent = await (await Lab.start(t, { passphrase })).client();
  await agent.onInteraction((question) => question.decline());
  await assert.rejects(agent.connectHost("bastion"), kind("cancelled"));
});

test("a handler that fails declines with its reason", async (t) => {
  const agent = await (await Lab.start(t, { passphrase })).client();
  await agent.onInteraction(() => {
    throw new Error("the window is gone");
  });
  await assert.rejects(agent.connectHost("bastion"), (error: unknown) =>
    kind("needs_person")(error) && /the window is gone/.test((error as Error).message));
});

test("without a handler nobody is asked", async (t) => {
  const agent = await (await Lab.start(t, { passphrase })).client();
  await assert.rejects(agent.connectHost("bastion"), kind("needs_person"));
  // A handler that was taken away has told the agent that it could be asked.
  await agent.onInteraction((question) => question.respond(passphrase));
  await agent.onInteraction(undefined);
  await assert.rejects(agent.connectHost("bastion"), kind("needs_person"));
});

test("of two IDEs one claims the question, and the other hears that it is over", async (t) => {
  const running = await (await Lab.start(t, { passphrase })).agent();
  const [one, two, script] = [await running.connect(), await running.connect(), await running.connect()];
  const asked = new Map<string, Question>();
  await one.onInteraction((question) => void asked.set("one", question), { everything: true });
  await two.onInteraction((question) => void asked.set("two", question), { everything: true });
  const login = script.connectHost("bastion"); // which cannot be asked itself
  await eventually("both are asked", () => asked.size === 2);
  const [mine, other] = [asked.get("one")!, asked.get("two")!];
  await mine.claim();
  await eventually("the other one hears it", () => other.ended.aborted);
  assert.equal(other.ended.reason, "claimed");
  await assert.rejects(other.claim(), kind("in_use"));
  await mine.respond(passphrase);
  assert.equal((await login).state, "ready");
});

test("a wrong number of answers leaves the question open", async (t) => {
  const agent = await (await Lab.start(t, { passphrase })).client();
  const refusals: unknown[] = [];
  await agent.onInteraction(async (question) => {
    await question.respond("one", "two").catch((error: unknown) => refusals.push(error));
    await question.respond(passphrase);
  });
  assert.equal((await agent.connectHost("bastion")).state, "ready");
  assert.ok(refusals.length === 1 && kind("invalid")(refusals[0]));
});
