/** `-v` and `-info`. containerd 2.x asks every shim for a RuntimeInfo at task creation. */

import { readFileSync } from "node:fs";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  RuntimeInfoSchema,
  RuntimeRequestSchema,
} from "../../proto/containerd/gen/introspection_pb.js";

export const runtimeName = "io.containerd.katasim.v2";
export const shimVersion = "0.1.0";

export function versionText(): string {
  return `containerd-shim-katasim-v2:\n  Version:  ${shimVersion}\n  Node:     ${process.version}\n`;
}

/** Reads a RuntimeRequest on stdin; the options in it are handed back, as containerd expects. */
export function runtimeInfo(): Uint8Array {
  const { options } = fromBinary(
    RuntimeRequestSchema,
    process.stdin.isTTY ? Buffer.alloc(0) : readFileSync(0),
  );
  return toBinary(
    RuntimeInfoSchema,
    create(RuntimeInfoSchema, {
      name: runtimeName,
      version: { version: shimVersion },
      ...(options === undefined ? {} : { options }),
    }),
  );
}
