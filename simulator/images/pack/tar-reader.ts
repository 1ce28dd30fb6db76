/**
 * Reads a tar stream as image layers have it: ustar, pax records and GNU's long names
 * (POSIX.1-2017 pax, "pax Interchange Format"; GNU tar manual, "Basic Tar Format"). Names are any bytes,
 * kept one by one in a string's characters (latin1); extended attributes are bytes, too. The npm packages
 * for tar take both for UTF-8, which loses what is none (a file's capabilities).
 */
import { imageError } from "../errors.ts";
import type { ByteReader } from "./byte-reader.ts";

export type TarType =
  | "file"
  | "link"
  | "symlink"
  | "character-device"
  | "block-device"
  | "directory"
  | "fifo";

export interface TarEntry {
  readonly name: string;
  readonly type: TarType;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: { readonly s: number; readonly ns: number };
  /** Of the content, which only files have. */
  readonly size: number;
  readonly linkName: string;
  readonly device: { readonly major: number; readonly minor: number };
  readonly xattrs: ReadonlyMap<string, Buffer>;
}

const blockBytes = 512;
// Longer headers than these are an attack on our memory, not a name or an attribute.
const maxHeaderBytes = 1 << 20;
const xattrPrefix = "SCHILY.xattr.";

const types: Readonly<Record<string, TarType>> = {
  "\0": "file",
  "0": "file",
  "1": "link",
  "2": "symlink",
  "3": "character-device",
  "4": "block-device",
  "5": "directory",
  "6": "fifo",
  "7": "file",
};

/**
 * Yields entry by entry; a file's content is what `reader` gives next, and what of it the caller leaves
 * is skipped. Throws IMAGE_INVALID.
 */
export async function* readTar(reader: ByteReader): AsyncGenerator<TarEntry> {
  let records = new Map<string, Buffer>();
  const globals = new Map<string, Buffer>();
  for (;;) {
    const header = await reader.read(blockBytes);
    // Two empty blocks end an archive; many writers leave them out.
    if (header === undefined || header.every((byte) => byte === 0)) return;
    assertChecksum(header);
    const size = numberOf(records.get("size")) ?? numeric(header, 124, 12);
    const flag = String.fromCharCode(header[156] as number);
    const padded = Math.ceil(size / blockBytes) * blockBytes;
    if ("xgLK".includes(flag)) {
      const content = await needed(reader, padded, size);
      if (flag === "x") for (const [key, value] of paxRecords(content)) records.set(key, value);
      if (flag === "g") for (const [key, value] of paxRecords(content)) globals.set(key, value);
      if (flag === "L") records.set("path", untilNul(content));
      if (flag === "K") records.set("linkpath", untilNul(content));
      continue;
    }
    const type = types[flag];
    if (type === undefined) throw invalid(`an entry of type ${JSON.stringify(flag)}`);
    const entry = entryOf(header, type, size, new Map([...globals, ...records]));
    records = new Map();
    const end = reader.position + (type === "file" ? padded : 0);
    yield entry;
    await reader.skip(end - reader.position);
  }
}

function entryOf(
  header: Buffer,
  type: TarType,
  size: number,
  records: ReadonlyMap<string, Buffer>,
): TarEntry {
  const field = (start: number, length: number) =>
    text(untilNul(header.subarray(start, start + length)));
  const ustar = header.toString("latin1", 257, 262) === "ustar";
  // GNU's own form uses the prefix's place for times.
  const posix = ustar && header[262] === 0;
  const prefix = posix ? field(345, 155) : "";
  const name = field(0, 100);
  const path = records.get("path");
  const linkPath = records.get("linkpath");
  const own = (key: string, start: number, length: number) =>
    numberOf(records.get(key)) ?? numeric(header, start, length);
  return {
    name: path !== undefined ? text(path) : prefix === "" ? name : `${prefix}/${name}`,
    type,
    mode: numeric(header, 100, 8) & 0o7777,
    uid: own("uid", 108, 8),
    gid: own("gid", 116, 8),
    mtime: timeOf(records.get("mtime")) ?? { s: numeric(header, 136, 12), ns: 0 },
    size: type === "file" ? size : 0,
    linkName: linkPath === undefined ? field(157, 100) : text(linkPath),
    device: ustar
      ? { major: numeric(header, 329, 8), minor: numeric(header, 337, 8) }
      : { major: 0, minor: 0 },
    xattrs: new Map(
      [...records]
        .filter(([key]) => key.startsWith(xattrPrefix))
        .map(([key, value]) => [key.slice(xattrPrefix.length), value]),
    ),
  };
}

/** `LENGTH KEY=VALUE\n`, the length counting all of it in decimal. */
function paxRecords(content: Buffer): ReadonlyMap<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const length = Number(content.toString("latin1", at, space));
    const end = at + length;
    const equals = content.indexOf(0x3d, space);
    const whole = space > at && Number.isInteger(length) && equals > space && equals < end;
    if (!whole || end > content.length || content[end - 1] !== 0x0a) {
      throw invalid("a broken pax record");
    }
    const key = content.toString("latin1", space + 1, equals);
    if (key.startsWith("GNU.sparse.")) throw invalid("a sparse file, which no layer may hold");
    records.set(key, content.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}

async function needed(reader: ByteReader, padded: number, size: number): Promise<Buffer> {
  if (padded > maxHeaderBytes) throw invalid(`a header of ${size} bytes`);
  const content = await reader.read(padded);
  if (content === undefined) throw invalid("a header that is cut short");
  // The reader's buffer is its own; records live on.
  return Buffer.from(content.subarray(0, size));
}

/** Octal digits, or GNU's base 256 with the highest bit set. */
function numeric(header: Buffer, start: number, length: number): number {
  const field = header.subarray(start, start + length);
  if (((field[0] as number) & 0x80) !== 0) {
    // Negative times before 1970 count as 1970; sizes above 2^53 do not exist.
    if (((field[0] as number) & 0x40) !== 0) return 0;
    return field.subarray(1).reduce((sum, byte) => sum * 256 + byte, (field[0] as number) & 0x3f);
  }
  const digits = untilNul(field).toString("latin1").trim();
  if (!/^[0-7]*$/.test(digits)) throw invalid(`the number ${JSON.stringify(digits)}`);
  return digits === "" ? 0 : Number.parseInt(digits, 8);
}

function numberOf(value: Buffer | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value.toString("latin1"));
  if (!Number.isFinite(number) || value.length === 0) throw invalid("a pax number that is none");
  return number;
}

/** Seconds with any number of decimals, which no floating point number could keep. */
function timeOf(value: Buffer | undefined): TarEntry["mtime"] | undefined {
  if (value === undefined) return undefined;
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(value.toString("latin1"));
  if (match === null) throw invalid("a pax time that is none");
  const [, minus, seconds, fraction = ""] = match;
  // Before 1970 counts as 1970.
  if (minus === "-") return { s: 0, ns: 0 };
  return { s: Number(seconds), ns: Number(fraction.padEnd(9, "0").slice(0, 9)) };
}

function assertChecksum(header: Buffer): void {
  const stated = numeric(header, 148, 8);
  // The field itself counts as eight blanks.
  const counted = header.reduce(
    (sum, byte, index) => sum + (index >= 148 && index < 156 ? 0x20 : byte),
    0,
  );
  if (stated !== counted) throw invalid("a header with a wrong checksum");
}

function untilNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return end === -1 ? bytes : bytes.subarray(0, end);
}

function text(bytes: Buffer): string {
  const name = bytes.toString("latin1");
  if (name.includes("\0")) throw invalid("a name with a NUL byte");
  return name;
}

function invalid(what: string) {
  return imageError("IMAGE_INVALID", `a layer of the image cannot be read: it has ${what}`);
}
