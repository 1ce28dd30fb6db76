/** Exact numbers of bytes out of a stream of chunks of any size. */

export interface ByteReader {
  /** Bytes given out so far. */
  readonly position: number;
  /** Exactly so many bytes, valid until the next call; undefined when the stream ends before. */
  read(length: number): Promise<Buffer | undefined>;
  /** So many bytes in pieces as they come. Throws when the stream ends before. */
  pieces(length: number): AsyncGenerator<Buffer>;
  skip(length: number): Promise<void>;
}

export function createByteReader(source: AsyncIterable<Buffer>): ByteReader {
  const chunks = source[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  let position = 0;

  async function more(): Promise<boolean> {
    const next = await chunks.next();
    if (next.done) return false;
    rest = rest.length === 0 ? next.value : Buffer.concat([rest, next.value]);
    return true;
  }
  function take(length: number): Buffer {
    const taken = rest.subarray(0, length);
    rest = rest.subarray(length);
    position += taken.length;
    return taken;
  }
  async function* pieces(length: number): AsyncGenerator<Buffer> {
    for (let left = length; left > 0; ) {
      if (rest.length === 0 && !(await more())) throw new Error("it is cut short");
      const piece = take(Math.min(left, rest.length));
      left -= piece.length;
      if (piece.length > 0) yield piece;
    }
  }
  return {
    get position() {
      return position;
    },
    async read(length) {
      while (rest.length < length) if (!(await more())) return undefined;
      return take(length);
    },
    pieces,
    async skip(length) {
      for await (const _ of pieces(length));
    },
  };
}
