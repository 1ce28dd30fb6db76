/** Tagged fields, the bodies of requests, replies and events: `u8 tag, u32 length, bytes`. */
import { printable } from "../../common/printable.ts";
import { shimError } from "../errors.ts";

// The agent's own words are at most 400 bytes; they go on into events and onto terminals.
const maxWordsBytes = 1024;
// The longest list there is, that of a container's processes, has one for each.
const maxFields = 1 << 16;

export type FieldValue = string | number | bigint | Buffer | boolean;
/** `undefined` leaves the field out. */
export type FieldList = ReadonlyArray<readonly [tag: number, value: FieldValue | undefined]>;

export function encodeFields(fields: FieldList): Buffer {
  const parts: Buffer[] = [];
  for (const [tag, value] of fields) {
    if (value === undefined) continue;
    const bytes = encodeValue(tag, value);
    const header = Buffer.allocUnsafe(5);
    header.writeUInt8(tag, 0);
    header.writeUInt32BE(bytes.length, 1);
    parts.push(header, bytes);
  }
  return Buffer.concat(parts);
}

function encodeValue(tag: number, value: FieldValue): Buffer {
  if (Buffer.isBuffer(value)) return value;
  if (typeof value === "string") {
    // A NUL would end the string early in the agent: what is checked must be what is used.
    if (value.includes("\0")) {
      throw shimError(
        "GUEST_PROTOCOL",
        `field ${tag} holds a NUL character: ${JSON.stringify(value)}`,
      );
    }
    return Buffer.from(value);
  }
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)));
  return bytes;
}

export interface Fields {
  /** Numbers above 2^53 are an error: no counter of ours is that large. */
  number(tag: number): number | undefined;
  text(tag: number): string | undefined;
  bytes(tag: number): Buffer | undefined;
  /** For people: short, on one line, and without what would steer a terminal. */
  words(tag: number): string | undefined;
  numbers(tag: number): number[];
  /** Groups a repeated message: each field `first` opens a new group. */
  groups(first: number): Fields[];
}

/** Throws GUEST_PROTOCOL when the fields do not fill the bytes exactly, or are too many. */
export function decodeFields(bytes: Buffer, max = maxFields): Fields {
  const list: Array<readonly [number, Buffer]> = [];
  for (let offset = 0; offset < bytes.length; ) {
    if (bytes.length - offset < 5) throw bad("fields that are cut off");
    const tag = bytes.readUInt8(offset);
    const length = bytes.readUInt32BE(offset + 1);
    offset += 5;
    if (length > bytes.length - offset) throw bad("fields that are cut off");
    if (list.length === max) throw bad(`more than ${max} fields in one frame`);
    list.push([tag, bytes.subarray(offset, offset + length)]);
    offset += length;
  }
  return fieldsOf(list);
}

function fieldsOf(list: ReadonlyArray<readonly [number, Buffer]>): Fields {
  const find = (tag: number) => list.find(([candidate]) => candidate === tag)?.[1];
  return {
    number: (tag) => {
      const value = find(tag);
      return value === undefined ? undefined : toNumber(tag, value);
    },
    text: (tag) => find(tag)?.toString("utf8"),
    bytes: find,
    words: (tag) => {
      const value = find(tag)?.subarray(0, maxWordsBytes).toString("utf8");
      return value === undefined ? undefined : printable(value).replaceAll("\n", " ");
    },
    numbers: (tag) =>
      list.filter(([candidate]) => candidate === tag).map(([, value]) => toNumber(tag, value)),
    groups: (first) => {
      const groups: Array<Array<readonly [number, Buffer]>> = [];
      for (const field of list) {
        if (field[0] === first) groups.push([]);
        groups.at(-1)?.push(field);
      }
      return groups.map(fieldsOf);
    },
  };
}

function toNumber(tag: number, value: Buffer): number {
  const number = value.length === 8 ? Number(value.readBigUInt64BE()) : Number.NaN;
  if (!Number.isSafeInteger(number)) {
    throw bad(`a bad number in field ${tag}`);
  }
  return number;
}

function bad(what: string) {
  return shimError("GUEST_PROTOCOL", `the guest sent ${what}`);
}
