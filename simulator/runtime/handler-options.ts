/** The options message of a handler, as containerd would make it from its config table. */
import { create, toBinary } from "@bufbuild/protobuf";
import { type Any, AnySchema, anyPack } from "@bufbuild/protobuf/wkt";
import { OptionsSchema as RuncOptionsSchema } from "../../proto/containerd/gen/runc_options_pb.js";
import { OptionsSchema as RuntimeOptionsSchema } from "../../proto/containerd/gen/runtime_options_pb.js";
import type { ShimOptions } from "../../runtime-shim/shim-options.ts";
import type { HandlerConfig } from "./handler-table.ts";

export interface NodeShimOptions {
  /** Folder for runc's own state; the shim adds the namespace. */
  readonly runcRoot: string;
  /** Options of our shim that hold for every handler of the node. */
  readonly katasim: Partial<ShimOptions>;
}

/** `kataConfiguration` is the file that was found for the sandbox. */
export function handlerOptions(
  handler: HandlerConfig,
  node: NodeShimOptions,
  kataConfiguration?: string,
): Any {
  const { options } = handler;
  switch (options.kind) {
    case "runc":
      return withoutPrefix(
        anyPack(
          RuncOptionsSchema,
          create(RuncOptionsSchema, {
            root: node.runcRoot,
            ...(options.binaryName === undefined ? {} : { binaryName: options.binaryName }),
          }),
        ),
      );
    case "katasim": {
      const json = JSON.stringify({ ...node.katasim, ...options.values });
      const body = { typeUrl: "katasim", configBody: new TextEncoder().encode(json) };
      return withoutPrefix(anyPack(RuntimeOptionsSchema, create(RuntimeOptionsSchema, body)));
    }
    case "kata":
      return withoutPrefix(
        anyPack(
          RuntimeOptionsSchema,
          create(RuntimeOptionsSchema, {
            configPath: kataConfiguration ?? options.configFile ?? "",
          }),
        ),
      );
  }
}

/** The same, as the bytes `start` takes on its standard input. */
export function marshalAny(any: Any): Uint8Array {
  return toBinary(AnySchema, any);
}

/** containerd's typeurl uses bare message names, without "type.googleapis.com/". */
function withoutPrefix(any: Any): Any {
  return create(AnySchema, { typeUrl: any.typeUrl.replace(/^.*\//, ""), value: any.value });
}
