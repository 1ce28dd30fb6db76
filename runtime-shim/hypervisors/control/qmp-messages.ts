/** Lines of the QEMU Machine Protocol (qemu docs/interop/qmp-spec): bounded and checked. */
import { StringDecoder } from "node:string_decoder";
import { shimError } from "../../errors.ts";

export type QmpMessage =
  | { readonly kind: "greeting"; readonly version: string }
  | { readonly kind: "return"; readonly id: number; readonly value: unknown }
  | { readonly kind: "error"; readonly id: number; readonly description: string }
  | { readonly kind: "event"; readonly name: string; readonly data: Record<string, unknown> };

// query-qmp-schema is the longest answer there is, at about 300 KiB.
const maxLineBytes = 4 << 20;

export function createQmpDecoder(): { push(chunk: Buffer): QmpMessage[] } {
  // A character may be cut in two by a chunk's end.
  const decoder = new StringDecoder("utf8");
  let held = "";
  return {
    push(chunk) {
      held += decoder.write(chunk);
      const lines = held.split("\n");
      held = lines.pop() ?? "";
      if (held.length > maxLineBytes) throw shimError("VMM_CONTROL", "QEMU sent an endless line");
      return lines.filter((line) => line.trim() !== "").map(parse);
    },
  };
}

function parse(line: string): QmpMessage {
  let message: Record<string, unknown>;
  try {
    message = asRecord(JSON.parse(line));
  } catch (cause) {
    throw shimError("VMM_CONTROL", "QEMU sent a line that is no JSON", { cause });
  }
  const id = typeof message.id === "number" ? message.id : -1;
  if ("return" in message) return { kind: "return", id, value: message.return };
  if ("error" in message) {
    return { kind: "error", id, description: String(asRecord(message.error).desc ?? "unknown") };
  }
  if ("event" in message) {
    return { kind: "event", name: String(message.event), data: asRecord(message.data) };
  }
  const version = asRecord(asRecord(asRecord(message.QMP).version).qemu);
  return { kind: "greeting", version: `${version.major}.${version.minor}.${version.micro}` };
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
