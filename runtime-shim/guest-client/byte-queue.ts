/**
 * Bytes that wait for their reader. What it holds costs little more than its bytes, however small the
 * pieces were and whatever larger buffers they were cut from.
 */

export interface ByteQueue {
  push(bytes: Buffer): void;
  /** The oldest bytes, in a piece of any size; undefined when there are none. */
  shift(): Buffer | undefined;
  readonly length: number;
  clear(): void;
}

// Small pieces are gathered in blocks of this size; a larger piece keeps at most four times its own
// size alive, the network chunk it was cut from.
const blockBytes = 16 << 10;

export function createByteQueue(): ByteQueue {
  let pieces: Buffer[] = [];
  let length = 0;
  // The last piece, while it has room: `piece` is the filled part of `block`.
  let block: Buffer | undefined;
  let filled = 0;

  const seal = () => {
    if (block === undefined) return;
    // Copied, unless that would save little.
    pieces.push(filled < blockBytes / 2 ? exactCopy(block, filled) : block.subarray(0, filled));
    block = undefined;
    filled = 0;
  };
  return {
    get length() {
      return length;
    },
    push(bytes) {
      length += bytes.length;
      if (filled + bytes.length > blockBytes) seal();
      if (bytes.length >= blockBytes) {
        pieces.push(bytes);
        return;
      }
      block ??= Buffer.allocUnsafeSlow(blockBytes);
      filled += bytes.copy(block, filled);
    },
    shift() {
      if (pieces.length === 0) seal();
      const piece = pieces.shift();
      length -= piece?.length ?? 0;
      return piece;
    },
    clear() {
      pieces = [];
      block = undefined;
      filled = 0;
      length = 0;
    },
  };
}

function exactCopy(block: Buffer, length: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(length);
  block.copy(copy, 0, 0, length);
  return copy;
}
