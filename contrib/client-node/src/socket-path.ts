// Where the agent's control socket is, by the rules of PROTOCOL.md ("Transport"), and whether it can be trusted.
import { stat } from "node:fs/promises";
import { userInfo } from "node:os";

import { JumpagentError } from "./errors.js";

/** The least that the supported systems' Unix sockets can hold, in bytes. */
const maxSocketPath = 103;

export type Environment = Readonly<Record<string, string | undefined>>;

export function socketPath(environment: Environment = process.env, home: string = userInfo().homedir): string {
  return checkLength(choose(environment, home));
}

function choose(environment: Environment, home: string): string {
  // An empty variable counts as unset, a relative directory is ignored.
  const directory = (name: string) => (environment[name]?.startsWith("/") ? environment[name] : undefined);
  const own = environment["JUMPAGENT_SOCK"];
  if (own) return own;
  const base = directory("XDG_RUNTIME_DIR") ?? directory("XDG_STATE_HOME");
  if (base) return `${base}/jumpagent/control.sock`;
  const under = directory("HOME") ?? home;
  if (!under) {
    throw new JumpagentError("not_found", "no place for the control socket: neither XDG_RUNTIME_DIR nor HOME is set",
      "set JUMPAGENT_SOCK");
  }
  return `${under}/.local/state/jumpagent/control.sock`;
}

export function checkLength(path: string): string {
  const size = Buffer.byteLength(path);
  if (size <= maxSocketPath) return path;
  throw new JumpagentError("invalid",
    `the control socket's path has ${size} bytes, a Unix socket's may have ${maxSocketPath}: ${path}`,
    "name a shorter one in JUMPAGENT_SOCK");
}

/**
 * Refuses a socket of another user. Node cannot ask who the peer of a connection is (SO_PEERCRED), so this is asked of
 * the file: less than what jumpctl does, and enough in a directory that only its owner may write to.
 */
export async function checkOwner(path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw noAgent(path, error);
  });
  const me = process.getuid?.();
  if (me === undefined || found.uid === me || found.uid === 0) return;
  throw new JumpagentError("refused", `${path} belongs to another user (uid ${found.uid})`,
    "look at JUMPAGENT_SOCK and XDG_RUNTIME_DIR");
}

export function noAgent(path: string, cause: NodeJS.ErrnoException): JumpagentError {
  const absent = cause.code === "ENOENT" || cause.code === "ECONNREFUSED" || cause.code === "ENOTDIR";
  if (!absent) {
    return new JumpagentError("refused", `cannot connect to ${path}: ${cause.message}`, "", 0, { cause });
  }
  return new JumpagentError("no_agent", `no agent is running (socket ${path})`, "start it with: jumpagent up", 0, { cause });
}
