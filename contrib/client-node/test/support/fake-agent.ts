// FakeAgent: the agent's side of the socket, scripted by a test: what it answers to which method, byte by byte where that
// matters. It says hello by itself.
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";

import { tempDir } from "./temp-dir.js";
import { atEnd } from "./test.js";

export interface Request {
  id: number;
  method: string;
  params: Record<string, any>;
}
export type Script = (request: Request, client: FakeClient) => void;

export class FakeClient {
  readonly requests: Request[] = [];
  private text = "";
  private script: Script | undefined;
  private readonly onData = (chunk: Buffer) => this.hear(chunk);

  constructor(readonly socket: Socket, script: Script) {
    this.script = script;
    socket.on("data", this.onData);
    socket.on("error", () => {});
  }

  send(...messages: object[]): void {
    this.socket.write(this.lines(...messages));
  }
  lines(...messages: object[]): string {
    return messages.map((message) => JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n").join("");
  }
  answer(request: Request, result: object): void {
    this.send({ id: request.id, result });
  }
  refuse(request: Request, kind: string, message = "no"): void {
    this.send({ id: request.id, error: { code: -32000, message, data: { kind, hint: "" } } });
  }
  /** Answers, and is no more a speaker of JSON: the socket is the test's. `behind`: comes with the answer. */
  upgrade(request: Request, result: object, behind: Buffer = Buffer.alloc(0)): Socket {
    this.script = undefined;
    this.socket.off("data", this.onData);
    this.socket.pause();
    this.socket.write(Buffer.concat([Buffer.from(this.lines({ id: request.id, result })), behind]));
    return this.socket;
  }

  private hear(chunk: Buffer): void {
    const lines = (this.text + chunk.toString()).split("\n");
    this.text = lines.pop() ?? "";
    for (const line of lines) {
      const request = JSON.parse(line) as Request;
      this.requests.push(request);
      if (request.method === "hello") {
        this.answer(request, { protocol: 1, version: "fake", capabilities: [], instance: "fake", pid: 0 });
      } else {
        this.script?.(request, this);
      }
    }
  }
}

export class FakeAgent {
  readonly clients: FakeClient[] = [];
  private constructor(readonly socket: string) {}

  static async start(t: TestContext, script: Script): Promise<FakeAgent> {
    const server = createServer({ allowHalfOpen: true });
    const fake = new FakeAgent(join(await tempDir(t), "fake.sock"));
    server.on("connection", (socket) => fake.clients.push(new FakeClient(socket, script)));
    server.listen(fake.socket);
    await once(server, "listening");
    atEnd(t, () => {
      server.close();
      for (const client of fake.clients) client.socket.destroy();
    });
    return fake;
  }
}
