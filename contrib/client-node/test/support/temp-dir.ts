// A directory of the test's own, removed with it. Short, as sockets' paths have to fit into 103 bytes.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

import { atEnd } from "./test.js";

const longest = 50;

export async function tempDir(t: TestContext): Promise<string> {
  const base = tmpdir().length < longest ? tmpdir() : "/tmp";
  const directory = await mkdtemp(join(base, "jump-node-"));
  atEnd(t, () => rm(directory, { recursive: true, force: true }));
  return directory;
}
