// test: node's own, with a deadline, so that a test that hangs fails and says which it was.
import { test as nodeTest, type TestContext } from "node:test";

const deadlineMs = 120_000;

export function test(name: string, body: (t: TestContext) => void | Promise<void>): void {
  void nodeTest(name, { timeout: deadlineMs }, body);
}
