// test: node's own, with a deadline, so that a test that hangs fails and says which it was. atEnd: its cleaning up.
import { test as nodeTest, type TestContext } from "node:test";

const deadlineMs = 120_000;

export function test(name: string, body: (t: TestContext) => void | Promise<void>): void {
  void nodeTest(name, { timeout: deadlineMs }, body);
}

type CleanUp = () => unknown;
const cleanUps = new WeakMap<TestContext, CleanUp[]>();

/** Runs `cleanUp` after the test, the last one first, so that a directory goes after the programs that use it. */
export function atEnd(t: TestContext, cleanUp: CleanUp): void {
  const known = cleanUps.get(t);
  if (known) return void known.push(cleanUp);
  const all = [cleanUp];
  cleanUps.set(t, all);
  t.after(async () => {
    let failure: unknown;
    for (const each of all.reverse()) {
      try {
        await each();
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure) throw failure;
  });
}
