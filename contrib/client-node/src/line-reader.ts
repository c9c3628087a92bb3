// LineReader: bytes in, whole lines out. Invariant: it holds at most one unfinished line, and joins its pieces once, so
// that a `status` of many megabytes costs what its bytes cost.

const lf = 0x0a;

export class LineReader {
  private pieces: Buffer[] = [];
  private rest: Buffer = Buffer.alloc(0);

  feed(chunk: Buffer): void {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
  }

  /** The next line without its end; undefined: it has not come yet. */
  next(): string | undefined {
    const end = this.rest.indexOf(lf);
    if (end < 0) {
      if (this.rest.length > 0) this.pieces.push(this.rest);
      this.rest = Buffer.alloc(0);
      return undefined;
    }
    const line = Buffer.concat([...this.pieces, this.rest.subarray(0, end)]);
    this.pieces = [];
    this.rest = this.rest.subarray(end + 1);
    return line.toString("utf8");
  }

  /** What came behind the last line that was taken; the reader is empty afterwards. */
  takeRest(): Buffer {
    const rest = Buffer.concat([...this.pieces, this.rest]);
    this.pieces = [];
    this.rest = Buffer.alloc(0);
    return rest;
  }
}
