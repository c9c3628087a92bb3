// Lab: a throw-away sshd with a user's key, and a jumpagent that knows it as `bastion`. Everything is in a directory of
// the test's own and on loopback, needs no rights, and goes when the test ends, however that is; ~/.ssh, a running agent
// and the machine's own sshd are neither used nor touched.
//
// The programs are those of $JUMPAGENT_BIN_DIR, or of build-dev/bin or build/bin of this clone.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { userInfo } from "node:os";
import { join, resolve } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { Agent, JumpagentError } from "../../src/index.js";
import { eventually } from "./eventually.js";
import { tempDir } from "./temp-dir.js";
import { atEnd } from "./test.js";

const execute = promisify(execFile);
const clone = resolve(fileURLToPath(import.meta.url), "../../../../../..");
const sshd = "/usr/sbin/sshd";
const portTries = 5;

const started = new Set<ChildProcess>();
process.on("exit", () => started.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(1));

function program(name: string): string {
  const given = process.env["JUMPAGENT_BIN_DIR"];
  const places = given ? [resolve(given)] : ["build-dev/bin", "build/bin"].map((place) => join(clone, place));
  const found = places.map((place) => join(place, name)).find(existsSync);
  if (!found) throw new Error(`there is no ${name} in ${places.join(" or ")}: build it, or name its place in JUMPAGENT_BIN_DIR`);
  return found;
}

/** A child whose output is kept, and that does not outlive the test. */
class Child {
  output = "";
  private constructor(readonly process: ChildProcess) {
    started.add(process);
    for (const stream of [process.stdout, process.stderr]) stream?.on("data", (text: Buffer) => (this.output += text.toString()));
    process.on("error", (error) => (this.output += error.message));
    process.on("close", () => started.delete(process));
  }
  static start(command: string, args: string[], env: NodeJS.ProcessEnv): Child {
    return new Child(spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] }));
  }
  get running(): boolean {
    return this.process.pid !== undefined && this.process.exitCode === null && this.process.signalCode === null;
  }
  async stop(): Promise<number | null> {
    if (this.running) this.process.kill("SIGTERM");
    return this.ended();
  }
  async ended(): Promise<number | null> {
    if (this.running) await once(this.process, "exit");
    return this.process.exitCode;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

export interface LabOptions {
  /** Of the user's key; the agent has to ask for it. */
  passphrase?: string;
  /** The host key is not in known_hosts. */
  unknownHostKey?: boolean;
  /** More lines for sshd_config. */
  sshd?: string[];
}

export class Lab {
  private agents = 0;

  private constructor(
    private readonly t: TestContext,
    readonly directory: string,
    readonly sshConfig: string,
    /** SHA256:… */
    readonly hostKey: string,
    /** What sshd has said so far. */
    readonly sshdLog: () => string,
  ) {}

  static async start(t: TestContext, options: LabOptions = {}): Promise<Lab> {
    const directory = await tempDir(t);
    const file = (name: string) => join(directory, name);
    await generateKey(file("host_key"), "");
    await generateKey(file("id"), options.passphrase ?? "");
    await writeFile(file("authorized_keys"), await readFile(file("id.pub")));
    const { port, log } = await startSshd(t, directory, options.sshd ?? []);
    const hostKey = (await readFile(file("host_key.pub"), "utf8")).split(" ").slice(0, 2).join(" ");
    await writeFile(file("known_hosts"), options.unknownHostKey ? "" : `[127.0.0.1]:${port} ${hostKey}\n`);
    await writeFile(file("ssh_config"), `Host bastion
  HostName 127.0.0.1
  Port ${port}
  User ${userInfo().username}
  IdentityFile ${file("id")}
  IdentityAgent none
  UserKnownHostsFile ${file("known_hosts")}
  StrictHostKeyChecking ${options.unknownHostKey ? "ask" : "yes"}
Host *
  GlobalKnownHostsFile /dev/null
  ConnectTimeout 20
`);
    const { stdout } = await execute("ssh-keygen", ["-l", "-E", "sha256", "-f", file("host_key.pub")]);
    return new Lab(t, directory, file("ssh_config"), stdout.split(" ")[1] ?? "", log);
  }

  /** Runs an agent, with directories of its own. */
  async agent(): Promise<RunningAgent> {
    const home = join(this.directory, `agent${++this.agents}`);
    for (const name of ["home", "run", "state", "config"]) await mkdir(join(home, name), { recursive: true, mode: 0o700 });
    const agent = new RunningAgent(this.t, this.sshConfig, home);
    atEnd(this.t, () => agent.stop());
    await agent.restart();
    return agent;
  }

  /** An agent, and a client of it. */
  async client(): Promise<Agent> {
    return (await this.agent()).connect();
  }
}

export class RunningAgent {
  readonly socket: string;
  private child: Child | undefined;

  constructor(private readonly t: TestContext, private readonly sshConfig: string, private readonly home: string) {
    this.socket = join(home, "run/jumpagent/control.sock");
  }

  /** Starts it, where it does not run; resolves when it answers. */
  async restart(): Promise<void> {
    const { SSH_AUTH_SOCK: _, JUMPAGENT_SOCK: __, ...env } = process.env;
    const child = Child.start(program("jumpagent"), ["run", "-F", this.sshConfig], {
      ...env,
      HOME: join(this.home, "home"),
      XDG_RUNTIME_DIR: join(this.home, "run"),
      XDG_STATE_HOME: join(this.home, "state"),
      XDG_CONFIG_HOME: join(this.home, "config"),
    });
    this.child = child;
    await eventually("the agent answers", async () => {
      if (!child.running) throw new Error(`the agent did not start:\n${child.output}`);
      return this.answers();
    });
  }
  async connect(): Promise<Agent> {
    const agent = await Agent.connect({ socket: this.socket, client: "test" });
    atEnd(this.t, () => agent.close());
    return agent;
  }
  async answers(): Promise<boolean> {
    try {
      (await Agent.connect({ socket: this.socket })).close();
      return true;
    } catch (error) {
      if (error instanceof JumpagentError && error.kind === "no_agent") return false;
      throw error;
    }
  }
  /** Fails if it ends badly. */
  async stop(): Promise<void> {
    await this.expectEnd((child) => child.stop());
  }
  /** The same for one that was told to end, which a signal would disturb. */
  async ended(): Promise<void> {
    await this.expectEnd((child) => child.ended());
  }
  private async expectEnd(end: (child: Child) => Promise<number | null>): Promise<void> {
    const child = this.child;
    this.child = undefined;
    const status = child && (await end(child));
    if (child && status !== 0) throw new Error(`the agent ended with status ${status}:\n${child.output}`);
  }
  kill(): void {
    this.child?.process.kill("SIGKILL");
    this.child = undefined;
  }
}

async function generateKey(path: string, passphrase: string): Promise<void> {
  await execute("ssh-keygen", ["-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", path]);
}

async function startSshd(t: TestContext, directory: string, lines: string[]): Promise<{ port: number; log: () => string }> {
  // It wants this directory; where its service never ran, nobody has made it yet.
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  // The machine's own start-up files for shells have things to say, and take time.
  const home = join(directory, "sshd-home");
  await mkdir(home, { mode: 0o700 });
  for (let tries = 1; ; ++tries) {
    const port = await freePort();
    const config = join(directory, "sshd_config");
    await writeFile(config, `${lines.join("\n")}
ListenAddress 127.0.0.1:${port}
HostKey ${join(directory, "host_key")}
AuthorizedKeysFile ${join(directory, "authorized_keys")}
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
SetEnv HOME=${home}
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 200
UseDNS no
PrintMotd no
PrintLastLog no
`);
    const child = Child.start(sshd, ["-D", "-e", "-f", config], process.env);
    atEnd(t, () => child.stop());
    await eventually("sshd listens", () => child.output.includes("Server listening") || !child.running);
    if (child.running) return { port, log: () => child.output };
    // Somebody else may have taken the port meanwhile.
    if (tries === portTries || !child.output.includes("in use")) throw new Error(`sshd did not start:\n${child.output}`);
  }
}

/**
 * False: the test has been skipped, as sshd cannot give terminals. It makes each one its user's and the group tty's, which
 * only root may where /dev/pts is not mounted with that group (option gid, as most systems and few containers have it).
 */
export async function givesTerminals(t: TestContext): Promise<boolean> {
  if (process.getuid?.() === 0) return true;
  const group = /^tty:[^:]*:(\d+)/m.exec(await readFile("/etc/group", "utf8"))?.[1];
  const mounted = /^\S+ \/dev\/pts devpts (\S+)/m.exec(await readFile("/proc/mounts", "utf8"))?.[1] ?? "";
  const given = /(?:^|,)gid=(\d+)/.exec(mounted)?.[1] ?? String(process.getgid?.());
  if (group === undefined || group === given || process.getgroups?.().includes(Number(group))) return true;
  t.skip("/dev/pts has another group than tty, so that sshd needs root to give terminals");
  return false;
}

/** A TCP service on a free port of loopback, or on a Unix socket. */
export async function service(t: TestContext, serve: (socket: Socket) => void, path?: string): Promise<number> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.on("error", () => {}).on("close", () => open.delete(socket));
    serve(socket);
  });
  if (path === undefined) server.listen(0, "127.0.0.1");
  else server.listen(path);
  await once(server, "listening");
  atEnd(t, () => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return path === undefined ? (server.address() as AddressInfo).port : 0;
}
export const echo = (socket: Socket) => void socket.pipe(socket);

