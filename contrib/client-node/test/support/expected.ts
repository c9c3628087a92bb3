// What the agent under test has to be able to do. Tests of a capability that is in this list fail without it; tests of one
// that is not are skipped where the agent lacks it.
import type { TestContext } from "node:test";

import type { Agent } from "../../src/index.js";

export const expectedCapabilities = ["forward.local", "events", "interactions", "doctor", "session", "stream"];

/** False: the test has been skipped. */
export function needs(t: TestContext, agent: Agent, capability: string): boolean {
  if (agent.can(capability) || expectedCapabilities.includes(capability)) return true;
  t.skip(`this agent has no ${capability}`);
  return false;
}
