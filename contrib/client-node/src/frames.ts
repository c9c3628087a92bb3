// The frames of an upgraded session (PROTOCOL.md): one byte type, four bytes length (big endian), as many bytes as that.
// Pure: bytes in, frames out. Invariant of FrameReader: it holds at most one unfinished frame.

import { JumpagentError } from "./errors.js";

export const frameType = {
  stdin: 0,
  stdout: 1,
  stderr: 2,
  ended: 3,
  stdinEnd: 4,
  resize: 5,
  signal: 6,
} as const;

export const maxFrame = 65_536;
const headerSize = 5;

export interface Frame {
  type: number;
  payload: Buffer;
}

export function frameHeader(type: number, length: number): Buffer {
  const header = Buffer.alloc(headerSize);
  header.writeUInt8(type, 0);
  header.writeUInt32BE(length, 1);
  return header;
}

export function jsonFrame(type: number, value: unknown): Buffer {
  const payload = Buffer.from(JSON.stringify(value));
  return Buffer.concat([frameHeader(type, payload.length), payload]);
}

export class FrameReader {
  private pieces: Buffer[] = [];
  private held = 0;

  /** The frames that `chunk` completes. Payloads may be parts of it. Throws kind `protocol`; no use of it after that. */
  feed(chunk: Buffer): Frame[] {
    const frames: Frame[] = [];
    this.pieces.push(chunk);
    this.held += chunk.length;
    let need = this.frameSize();
    while (need !== undefined && this.held >= need) {
      const bytes = this.joined();
      frames.push({ type: bytes.readUInt8(0), payload: bytes.subarray(headerSize, need) });
      this.pieces = [bytes.subarray(need)];
      this.held -= need;
      need = this.frameSize();
    }
    return frames;
  }

  /** Of the frame at the front, its header included; undefined: not known yet. */
  private frameSize(): number | undefined {
    if (this.held < headerSize) return undefined;
    let front = this.pieces[0];
    if (!front || front.length < headerSize) front = this.joined();
    const length = front.readUInt32BE(1);
    if (length > maxFrame) {
      throw new JumpagentError("protocol", `the agent sent a frame of ${length} bytes, ${maxFrame} are allowed`);
    }
    return headerSize + length;
  }

  private joined(): Buffer {
    const bytes = this.pieces.length === 1 ? this.pieces[0]! : Buffer.concat(this.pieces);
    this.pieces = [bytes];
    return bytes;
  }
}
