// The framing of upgraded sessions, and of lines: whatever the pieces in which bytes come.
import assert from "node:assert/strict";

import { JumpagentError } from "../src/index.js";
import { frameHeader, FrameReader, frameType, jsonFrame, maxFrame } from "../src/frames.js";
import { LineReader } from "../src/line-reader.js";
import { test } from "./support/test.js";

const stream = Buffer.concat([
  frameHeader(frameType.stdout, 5), Buffer.from("hello"),
  frameHeader(frameType.stderr, 0),
  frameHeader(frameType.stdout, maxFrame), Buffer.alloc(maxFrame, 7),
  jsonFrame(frameType.ended, { session: "s1", exit_status: 3 }),
]);

function check(frames: { type: number; payload: Buffer }[]): void {
  assert.deepEqual(frames.map(({ type, payload }) => [type, payload.length]), [[1, 5], [2, 0], [1, maxFrame], [3, 32]]);
  assert.equal(frames[0]?.payload.toString(), "hello");
  assert.ok(frames[2]?.payload.every((byte) => byte === 7));
  assert.deepEqual(JSON.parse(frames[3]?.payload.toString() ?? ""), { session: "s1", exit_status: 3 });
}

test("frames are whole however the bytes are cut", () => {
  for (const size of [1, 2, 4, 5, 6, 7, 1000, maxFrame, stream.length]) {
    const reader = new FrameReader();
    const frames = [];
    for (let at = 0; at < stream.length; at += size) frames.push(...reader.feed(stream.subarray(at, at + size)));
    check(frames);
  }
});

test("frames are whole wherever the one cut is", () => {
  for (let cut = 0; cut <= 40; ++cut) {
    const reader = new FrameReader();
    check([...reader.feed(stream.subarray(0, cut)), ...reader.feed(stream.subarray(cut))]);
  }
});

test("a frame that is too long is an error of kind protocol, before its bytes are waited for", () => {
  const reader = new FrameReader();
  assert.throws(() => reader.feed(frameHeader(frameType.stdout, maxFrame + 1)),
    (error: unknown) => error instanceof JumpagentError && error.kind === "protocol");
});

test("lines are whole however the bytes are cut, and what is behind them stays", () => {
  const bytes = Buffer.from("first\n\nzweite Zeile: ä €\nbinary");
  for (let size = 1; size <= bytes.length; ++size) {
    const reader = new LineReader();
    const lines: string[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      reader.feed(bytes.subarray(at, at + size));
      for (let line; (line = reader.next()) !== undefined; ) lines.push(line);
    }
    assert.deepEqual(lines, ["first", "", "zweite Zeile: ä €"]);
    assert.equal(reader.takeRest().toString(), "binary");
  }
});
