/**
 * Reads `application/vnd.kubernetes.protobuf` bodies into the JSON form of the object. kubectl 1.32
 * and newer send them from typed commands; the server never writes them.
 * Source: apimachinery pkg/runtime/serializer/protobuf (magic, runtime.Unknown), generated.proto.
 */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { messageOf } from "../../../common/errors.ts";
import { apiError } from "../../errors.ts";
import { definitionNameFor, definitions, gvkOf } from "../schema/definitions.ts";
import { fieldOf } from "../schema/schema.ts";
import { isZero, type WireMessage, wireMessages } from "./field-numbers.ts";
import { readElement, readMapEntry } from "./protobuf-values.ts";

const magic = Buffer.from([0x6b, 0x38, 0x73, 0x00]);

/** Kubernetes objects nest about 12 deep; more is an attack on the stack. */
const maxDepth = 64;

/** Throws BadRequest for bytes that are no such message, UnsupportedMediaType for other kinds. */
export function decodeProtobuf(bytes: Uint8Array): Record<string, unknown> {
  if (bytes.length < magic.length || !magic.equals(bytes.subarray(0, magic.length)))
    throw apiError(
      "BAD_REQUEST",
      "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]",
    );
  const unknown = guarded(() => readUnknown(bytes.subarray(magic.length)));
  const { apiVersion, kind } = unknown;
  if (unknown.contentEncoding !== "" || !["", protobufType].includes(unknown.contentType))
    throw apiError("BAD_REQUEST", `the protobuf body holds ${unknown.contentType} content`);
  const name = definitionNameFor(gvkOf(apiVersion, kind));
  const message = name === undefined ? undefined : wireMessages.get(name);
  if (name === undefined || message === undefined)
    throw apiError(
      "UNSUPPORTED_MEDIA_TYPE",
      `the body of the request is a ${kind || "nameless kind"} (${apiVersion}) in protobuf, which is read for other kinds only - accepted media types include: application/json, application/yaml`,
      { hint: "Send the object as JSON or YAML, for example with kubectl create -f." },
    );
  const body: Record<string, unknown> = { apiVersion, kind };
  guarded(() => readMessage(unknown.raw, name, message, body, 0));
  return body;
}

const protobufType = "application/vnd.kubernetes.protobuf";

/** runtime.Unknown { 1 typeMeta { 1 apiVersion, 2 kind }, 2 raw, 3 contentEncoding, 4 contentType } */
function readUnknown(bytes: Uint8Array) {
  const result = {
    apiVersion: "",
    kind: "",
    raw: new Uint8Array(),
    contentEncoding: "",
    contentType: "",
  };
  eachField(bytes, (field, wireType, reader) => {
    if (wireType !== WireType.LengthDelimited) return false;
    if (field === 1) {
      eachField(reader.bytes(), (inner, innerType, typeMeta) => {
        if (innerType !== WireType.LengthDelimited || inner < 1 || inner > 2) return false;
        result[inner === 1 ? "apiVersion" : "kind"] = typeMeta.string();
        return true;
      });
    } else if (field === 2) result.raw = reader.bytes() as Uint8Array<ArrayBuffer>;
    else if (field === 3) result.contentEncoding = reader.string();
    else if (field === 4) result.contentType = reader.string();
    else return false;
    return true;
  });
  return result;
}

/** Fields of `bytes` into `target`, typed by the definition of that name. */
function readMessage(
  bytes: Uint8Array,
  definitionName: string,
  message: WireMessage,
  target: Record<string, unknown>,
  depth: number,
): void {
  if (depth > maxDepth) throw new RangeError("exceeded max depth");
  const definition = definitions.get(definitionName);
  const required = new Set(definition?.required);
  eachField(bytes, (number, wireType, reader) => {
    const wire = message.get(number);
    if (!wire) return false;
    if (wire.embedded !== undefined) {
      const embedded = wireMessages.get(wire.embedded);
      if (!embedded || wireType !== WireType.LengthDelimited) return false;
      readMessage(reader.bytes(), definitionName, embedded, target, depth + 1);
      return true;
    }
    const type = definition && fieldOf(definition, wire.name);
    if (!type) return false;
    const nested = (ref: string, inner: Uint8Array) => readNested(ref, inner, depth + 1);
    if (type.array) {
      const list = (target[wire.name] as unknown[] | undefined) ?? [];
      target[wire.name] = list;
      readElement(type.array, wireType, reader, nested, (item) => list.push(item));
    } else if (type.map) {
      const map = (target[wire.name] as object | undefined) ?? {};
      target[wire.name] = map;
      readMapEntry(type.map, reader.bytes(), nested, map);
    } else {
      readElement(type, wireType, reader, nested, (value) => {
        const drop =
          value === undefined || (isZero(value) && !wire.keepsZero && !required.has(wire.name));
        if (!drop) target[wire.name] = value;
      });
    }
    return true;
  });
}

function readNested(ref: string, bytes: Uint8Array, depth: number): unknown {
  const message = wireMessages.get(ref);
  if (!message) return undefined;
  const value: Record<string, unknown> = {};
  readMessage(bytes, ref, message, value, depth);
  return value;
}

/** Calls `visit` per field; a field it does not read (returns false) is skipped. */
function eachField(
  bytes: Uint8Array,
  visit: (field: number, wireType: WireType, reader: BinaryReader) => boolean,
): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    // Kubernetes never writes groups; skipping nested ones would recurse.
    if (wireType === WireType.StartGroup || wireType === WireType.EndGroup)
      throw new RangeError(`illegal wireType ${wireType}`);
    if (!visit(field, wireType, reader)) reader.skip(wireType, field);
  }
}

function guarded<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw apiError("BAD_REQUEST", `proto: ${messageOf(cause)}`, { cause });
  }
}
