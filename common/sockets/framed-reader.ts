/**
 * A push decoder for protocols of "fixed header with a length, then a body". Bytes come in as they
 * arrive, whole frames come out; a length above the cap is never buffered.
 */

export interface Framing {
  readonly headerBytes: number;
  /** Length of the body behind this header. */
  bodyBytes(header: Buffer): number;
  /** The largest body that is accepted. */
  readonly maxBodyBytes: number;
}

export interface Frame {
  readonly header: Buffer;
  readonly body: Buffer;
  /** The body was above the cap: it was skipped and `body` is empty. */
  readonly oversize: boolean;
}

export interface FramedReader {
  /** Whole frames in order. Throws what `bodyBytes` throws; the reader is then of no more use. */
  push(chunk: Buffer): Frame[];
  /** Bytes held back for a frame that is not complete. */
  readonly bufferedBytes: number;
}

export function createFramedReader(framing: Framing): FramedReader {
  let chunks: Buffer[] = [];
  let buffered = 0;
  let header: Buffer | undefined;
  let bodyBytes = 0;
  let toSkip = 0;

  const take = (count: number): Buffer => {
    buffered -= count;
    const parts: Buffer[] = [];
    let missing = count;
    let index = 0;
    while (missing > 0) {
      const chunk = chunks[index] as Buffer;
      if (chunk.length <= missing) {
        parts.push(chunk);
        missing -= chunk.length;
        index += 1;
      } else {
        parts.push(chunk.subarray(0, missing));
        chunks[index] = chunk.subarray(missing);
        missing = 0;
      }
    }
    // Cut once per frame, not once per chunk: a frame in many small chunks stays linear.
    if (index > 0) chunks = chunks.slice(index);
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, count);
  };

  return {
    get bufferedBytes() {
      return buffered;
    },
    push(chunk) {
      const frames: Frame[] = [];
      if (chunk.length === 0) return frames;
      chunks.push(chunk);
      buffered += chunk.length;
      for (;;) {
        if (toSkip > 0) {
          const skipped = Math.min(toSkip, buffered);
          take(skipped);
          toSkip -= skipped;
          if (toSkip > 0) return frames;
        }
        if (header === undefined) {
          if (buffered < framing.headerBytes) return frames;
          // Copied, so that a 10-byte header never keeps a whole network chunk alive.
          header = Buffer.from(take(framing.headerBytes));
          bodyBytes = framing.bodyBytes(header);
          if (bodyBytes > framing.maxBodyBytes) {
            frames.push({ header, body: Buffer.alloc(0), oversize: true });
            toSkip = bodyBytes;
            header = undefined;
            continue;
          }
        }
        if (buffered < bodyBytes) return frames;
        frames.push({
          header,
          body: bodyBytes === 0 ? Buffer.alloc(0) : take(bodyBytes),
          oversize: false,
        });
        header = undefined;
      }
    },
  };
}
