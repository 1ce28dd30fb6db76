/**
 * The words exchanged with a shim's `start`: options or BootstrapParams on its standard input, an
 * address on its standard output. Sources: containerd core/runtime/v2/{binary,shim}.go at 1.6 … 2.4.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import {
  BootstrapParamsSchema,
  BootstrapResultSchema,
} from "../../proto/containerd/gen/bootstrap_pb.js";
import { runtimeError } from "./errors.ts";

/** Address of the shim's ttrpc socket, "unix:///…", out of a plain, JSON or protobuf answer. */
export function addressOf(answer: Uint8Array): string {
  const text = Buffer.from(answer).toString("utf8").trim();
  if (text.startsWith("unix://")) return text;
  const result = text.startsWith("{") ? parseJson(text) : parseProtobuf(answer);
  if (result === undefined || !result.address.startsWith("unix://")) {
    throw runtimeError(
      "SHIM_ANSWER_INVALID",
      `the shim's start answered no address: ${JSON.stringify(text.slice(0, 200))}`,
    );
  }
  if (result.protocol !== "" && result.protocol !== "ttrpc") {
    throw runtimeError("SHIM_ANSWER_INVALID", `the shim speaks ${result.protocol}, not ttrpc`);
  }
  return result.address;
}

interface Answer {
  readonly address: string;
  readonly protocol: string;
}

function parseJson(text: string): Answer | undefined {
  try {
    const { address, protocol } = JSON.parse(text) as { address?: unknown; protocol?: unknown };
    if (typeof address !== "string") return undefined;
    return { address, protocol: typeof protocol === "string" ? protocol : "" };
  } catch {
    return undefined;
  }
}

function parseProtobuf(answer: Uint8Array): Answer | undefined {
  try {
    return fromBinary(BootstrapResultSchema, answer);
  } catch {
    return undefined;
  }
}

/**
 * containerd 2.3 and later hand BootstrapParams; older shims fail on it ("type with url … not
 * found", measured with 1.6.20), so only a shim that names such a version gets it.
 */
export function wantsBootstrapParams(versionText: string): boolean {
  const match = /Version:\s+v?(\d+)\.(\d+)/.exec(versionText);
  if (match === null) return false;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major > 2 || (major === 2 && minor >= 3);
}

export interface StartInput {
  readonly id: string;
  readonly namespace: string;
  readonly eventsAddress: string;
  /** Marshalled google.protobuf.Any of the handler's options. */
  readonly options: Uint8Array;
  readonly bootstrapParams: boolean;
}

export function startStdin(input: StartInput): Uint8Array {
  if (!input.bootstrapParams) return input.options;
  return toBinary(
    BootstrapParamsSchema,
    create(BootstrapParamsSchema, {
      instanceId: input.id,
      namespace: input.namespace,
      containerdTtrpcAddress: input.eventsAddress,
      extensions: [{ value: fromBinary(AnySchema, input.options) }],
    }),
  );
}
