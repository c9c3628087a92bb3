// Streams through a real agent and a real sshd to services on loopback.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";

import { JumpagentError, type Agent } from "../src/index.js";
import { needs } from "./support/expected.js";
import { echo, Lab, service, type LabOptions } from "./support/lab.js";
import { atEnd, test } from "./support/test.js";

const kind = (expected: string) => (error: unknown) => {
  assert.ok(error instanceof JumpagentError, String(error));
  assert.equal(error.kind, expected, error.message);
  return true;
};
const via = "bastion", host = "127.0.0.1";
const bulk = Buffer.alloc(8 << 20, "0123456789abcdefg");

function streamTest(name: string, body: (agent: Agent, lab: Lab, t: TestContext) => Promise<void>, options: LabOptions = {}): void {
  test(name, async (t) => {
    const lab = await Lab.start(t, options);
    const agent = await lab.client();
    if (needs(t, agent, "stream")) await body(agent, lab, t);
  });
}
async function all(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  await once(socket, "end");
  return Buffer.concat(chunks);
}

streamTest("bytes go both ways, and each direction has its end", async (agent, _, t) => {
  const stream = await agent.stream({ host, port: await service(t, echo), via });
  const echoed = all(stream);
  stream.end(bulk);
  assert.ok((await echoed).equals(bulk));
});

streamTest("the far end may end first, and is still written to", async (agent, _, t) => {
  let got: Promise<Buffer> | undefined;
  const port = await service(t, (socket) => {
    got = all(socket);
    socket.end("bye");
  });
  const stream = await agent.stream({ host, port, via });
  assert.equal((await all(stream)).toString(), "bye");
  stream.end(bulk);
  await once(stream, "close");
  assert.ok((await got)?.equals(bulk));
});

streamTest("a Unix socket at the far end", async (agent, lab, t) => {
  const path = join(lab.directory, "svc.sock");
  await service(t, echo, path);
  const stream = await agent.stream({ path, via });
  const echoed = all(stream);
  stream.end("hello");
  assert.equal((await echoed).toString(), "hello");
});

streamTest("a stream is a socket to libraries: HTTP over it", async (agent, _, t) => {
  const server = createServer((asked, answer) => answer.end(`you asked for ${asked.url}`)).listen(0, host);
  atEnd(t, () => server.close());
  await once(server, "listening");
  const stream = await agent.stream({ host, port: (server.address() as AddressInfo).port, via });
  const asked = request({ path: "/page", headers: { connection: "close" }, createConnection: () => stream }).end();
  const [answer] = await once(asked, "response");
  let text = "";
  for await (const chunk of answer) text += chunk;
  assert.equal(text, "you asked for /page");
});

streamTest("a target that nobody listens on is an error, not an empty stream", async (agent, _, t) => {
  const port = await service(t, echo);
  await assert.rejects(agent.stream({ host, port: port === 1 ? 2 : 1, via }), (error: unknown) =>
    error instanceof JumpagentError && ["refused", "unreachable"].includes(error.kind));
});

streamTest("a login that a stream causes asks its own client", async (agent, _, t) => {
  await agent.onInteraction((question) => question.respond("geheim"));
  const stream = await agent.stream({ host, port: await service(t, echo), via });
  const echoed = all(stream);
  stream.end("in");
  assert.equal((await echoed).toString(), "in");
}, { passphrase: "geheim" });

streamTest("without a handler a stream that needs a login fails with needs_person", async (agent) => {
  await assert.rejects(agent.stream({ host, port: 1, via }), kind("needs_person"));
}, { passphrase: "geheim" });
