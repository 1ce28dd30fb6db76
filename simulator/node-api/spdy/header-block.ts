/**
 * Compressed header blocks of SPDY/3.1: one zlib stream per direction for the whole connection,
 * flushed with Z_SYNC_FLUSH after every block (draft-mbelshe-httpbis-spdy-00, section 2.6.10.1).
 *
 * A flush ends on a byte boundary, and the only state deflate carries over it is the last 32 KiB of
 * text. So each block is inflated on its own with that text as dictionary: synchronous, in order by
 * construction, and bounded by `maxOutputLength`.
 */
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { headerDictionary, headerDictionaryId } from "./dictionary.ts";

export type SpdyHeaders = ReadonlyMap<string, string>;

/** What the peer sent is not SPDY/3.1; the connection cannot go on. */
export class SpdyProtocolError extends Error {}

// Deflate looks back at most this far.
const windowBytes = 32 * 1024;
// Kubernetes' streams carry three short headers; anything larger is not a Kubernetes client.
const maxHeaderBytes = 64 * 1024;
const maxHeaderCount = 256;
const zlibPrefixBytes = 6;
// An empty stored block: what Z_SYNC_FLUSH puts at the end.
const syncMarker = Buffer.from([0x00, 0x00, 0xff, 0xff]);

/** Decodes the blocks of one direction; must see every block of the connection in order. */
export function createHeaderReader(): (block: Buffer) => SpdyHeaders {
  let window: Buffer = headerDictionary;
  let first = true;
  return (block) => {
    const body = first ? withoutZlibPrefix(block) : block;
    first = false;
    const plain = inflateBlock(body, window);
    window = Buffer.concat([window, plain]).subarray(-windowBytes);
    return parsePairs(plain);
  };
}

/**
 * Encodes the blocks of one direction. Blocks never refer back to earlier text, which a reader cannot
 * tell from a compressor that found nothing to refer to; so the writer keeps no window.
 */
export function createHeaderWriter(): (headers: SpdyHeaders) => Buffer {
  let first = true;
  return (headers) => {
    const block = deflateRawSync(formatPairs(headers), { finishFlush: constants.Z_SYNC_FLUSH });
    if (!first) return block;
    first = false;
    const prefix = Buffer.from([0x78, 0xbb, 0, 0, 0, 0]);
    prefix.writeUInt32BE(headerDictionaryId, 2);
    return Buffer.concat([prefix, block]);
  };
}

function withoutZlibPrefix(block: Buffer): Buffer {
  const usesDictionary = block.length >= zlibPrefixBytes && (block.readUInt8(1) & 0x20) !== 0;
  if (!usesDictionary || block.readUInt32BE(2) !== headerDictionaryId) {
    throw new SpdyProtocolError("the first header block was not made with the SPDY/3 dictionary");
  }
  return block.subarray(zlibPrefixBytes);
}

function inflateBlock(block: Buffer, dictionary: Buffer): Buffer {
  if (!block.subarray(-syncMarker.length).equals(syncMarker)) {
    throw new SpdyProtocolError("a header block does not end with a flush");
  }
  try {
    return inflateRawSync(block, {
      dictionary,
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: maxHeaderBytes,
    });
  } catch (cause) {
    throw new SpdyProtocolError("a header block cannot be decompressed", { cause });
  }
}

function parsePairs(bytes: Buffer): SpdyHeaders {
  let offset = 0;
  const readLength = (): number => {
    if (offset + 4 > bytes.length) throw new SpdyProtocolError("a header block is cut short");
    const length = bytes.readUInt32BE(offset);
    offset += 4;
    return length;
  };
  const readText = (): string => {
    const length = readLength();
    if (offset + length > bytes.length) throw new SpdyProtocolError("a header is cut short");
    const text = bytes.toString("utf8", offset, offset + length);
    offset += length;
    return text;
  };
  const count = readLength();
  if (count > maxHeaderCount) throw new SpdyProtocolError(`${count} headers are too many`);
  const headers = new Map<string, string>();
  for (let index = 0; index < count; index += 1) {
    const name = readText().toLowerCase();
    headers.set(name, readText());
  }
  return headers;
}

function formatPairs(headers: SpdyHeaders): Buffer {
  const parts: Buffer[] = [uint32(headers.size)];
  for (const [name, value] of headers) {
    for (const text of [name.toLowerCase(), value]) {
      const bytes = Buffer.from(text, "utf8");
      parts.push(uint32(bytes.length), bytes);
    }
  }
  return Buffer.concat(parts);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
