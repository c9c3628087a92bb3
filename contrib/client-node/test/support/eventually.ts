// eventually: asks until the answer is yes. For what tells nobody when it is ready.
import { setTimeout as delay } from "node:timers/promises";

const deadlineMs = 20_000;
const pauseMs = 10;

export async function eventually<T>(what: string, ask: () => T | Promise<T>): Promise<NonNullable<T>> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`not within ${deadlineMs / 1000} s: ${what}`);
    await delay(pauseMs);
  }
}
