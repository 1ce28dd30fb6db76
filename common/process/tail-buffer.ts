/** Keeps the last bytes of an endless output. */
export interface TailBuffer {
  push(chunk: Buffer): void;
  text(): string;
}

export function tailBuffer(maxBytes: number): TailBuffer {
  let kept = Buffer.alloc(0);
  return {
    push(chunk) {
      const joined = Buffer.concat([kept, chunk]);
      kept = joined.subarray(Math.max(0, joined.length - maxBytes));
    },
    text: () => kept.toString("utf8"),
  };
}
