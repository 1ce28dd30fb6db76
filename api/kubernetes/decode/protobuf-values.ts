/**
 * Single values of Kubernetes protobuf as JSON has them: quantities, int-or-string, times, bytes and
 * raw JSON have rules of their own. Source: apimachinery resource/, util/intstr/, meta/v1
 * generated.proto and their Marshal code.
 */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { FieldType } from "../schema/definitions.ts";
import { setField } from "../schema/records.ts";

/** Reads a nested message of the definition named `ref`. */
export type NestedReader = (ref: string, bytes: Uint8Array) => unknown;

/** Reads one value (of a field or list) and hands it on; packed numbers hand on several. */
export function readElement(
  type: FieldType,
  wireType: WireType,
  reader: BinaryReader,
  nested: NestedReader,
  take: (value: unknown) => void,
): void {
  if (isVarint(type) && wireType === WireType.LengthDelimited) {
    const packed = new BinaryReader(reader.bytes());
    while (packed.pos < packed.len) take(readVarint(type, packed));
  } else {
    take(readOne(type, wireType, reader, nested));
  }
}

function readOne(
  type: FieldType,
  wireType: WireType,
  reader: BinaryReader,
  nested: NestedReader,
): unknown {
  const expected = isVarint(type)
    ? WireType.Varint
    : type.type === "number"
      ? WireType.Bit64
      : WireType.LengthDelimited;
  if (wireType !== expected) throw wrongWireType(wireType);
  if (isVarint(type)) return readVarint(type, reader);
  if (type.type === "number") return reader.double();
  if (type.type === "string" && type.format === undefined) return reader.string();
  return readBytes(type, reader.bytes(), nested);
}

/** One entry { 1 key, 2 value } of a map with string keys. */
export function readMapEntry(
  type: FieldType,
  entry: Uint8Array,
  nested: NestedReader,
  into: object,
): void {
  const reader = new BinaryReader(entry);
  let key = "";
  let value: unknown;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType === WireType.StartGroup || wireType === WireType.EndGroup)
      throw wrongWireType(wireType);
    if (field === 1 && wireType === WireType.LengthDelimited) key = reader.string();
    else if (field !== 2) reader.skip(wireType, field);
    else if (type.array) value = readStringList(reader.bytes());
    else value = readOne(type, wireType, reader, nested);
  }
  if (value === undefined) value = type.ref === undefined ? "" : {};
  setField(into, key, value);
}

function isVarint(type: FieldType): boolean {
  return type.type === "boolean" || type.type === "integer";
}

function readVarint(type: FieldType, reader: BinaryReader): boolean | number {
  if (type.type === "boolean") return reader.bool();
  return type.format === "int32" ? reader.int32() : Number(reader.int64());
}

function readBytes(type: FieldType, bytes: Uint8Array, nested: NestedReader): unknown {
  if (type.ref !== undefined) return nested(type.ref, bytes);
  switch (type.format) {
    case "byte":
      return Buffer.from(bytes).toString("base64");
    case "quantity":
      return readScalars(bytes).get(1) ?? "0";
    case "int-or-string": {
      const fields = readScalars(bytes);
      return fields.get(1) === 1 ? (fields.get(3) ?? "") : (fields.get(2) ?? 0);
    }
    case "date-time":
    case "date-time-micro":
      return readTime(readScalars(bytes), type.format);
    case "fields-v1":
      return JSON.parse(String(readScalars(bytes).get(1) ?? "{}"));
  }
  return undefined;
}

/** A message of strings and int32/int64 varints only, by field number. */
function readScalars(bytes: Uint8Array): Map<number, string | number> {
  const result = new Map<number, string | number>();
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType === WireType.Varint) result.set(field, Number(reader.int64()));
    else if (wireType === WireType.LengthDelimited) result.set(field, reader.string());
    else throw wrongWireType(wireType);
  }
  return result;
}

/** An unset metav1.Time is an empty message: no value in JSON. */
function readTime(fields: ReadonlyMap<number, string | number>, format: string) {
  const seconds = Number(fields.get(1) ?? 0);
  const nanos = Number(fields.get(2) ?? 0);
  if (fields.size === 0) return undefined;
  const text = new Date(seconds * 1000).toISOString().slice(0, 19);
  if (format === "date-time") return `${text}Z`;
  return `${text}.${String(Math.floor(nanos / 1000)).padStart(6, "0")}Z`;
}

/** ExtraValue { repeated string items = 1 }: the only list that is a map's value. */
function readStringList(bytes: Uint8Array): string[] {
  const items: string[] = [];
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field !== 1 || wireType !== WireType.LengthDelimited) throw wrongWireType(wireType);
    items.push(reader.string());
  }
  return items;
}

function wrongWireType(wireType: WireType): RangeError {
  return new RangeError(`wrong wireType = ${wireType}`);
}
