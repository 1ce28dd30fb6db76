/**
 * Standard input of `start`: options as a protobuf Any (containerd ≤ 2.2), BootstrapParams (2.3 and
 * later), or nothing. Any and BootstrapParams decode as each other: the ids tell them apart.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { type Any, AnySchema } from "@bufbuild/protobuf/wkt";
import {
  type BootstrapParams,
  BootstrapParamsSchema,
} from "../../proto/containerd/gen/bootstrap_pb.js";
import { OptionsSchema } from "../../proto/containerd/gen/runtime_options_pb.js";

export interface StartInput {
  /** JSON of our options, not validated. */
  readonly optionsJson?: string;
  readonly ttrpcAddress?: string;
  readonly socketDir?: string;
}

export function readStartInput(
  bytes: Uint8Array,
  expected: { readonly id: string; readonly namespace: string },
): StartInput {
  if (bytes.length === 0) return {};
  const params = decodeBootstrap(bytes);
  if (params?.instanceId === expected.id && params.namespace === expected.namespace) {
    const options = params.extensions
      .map(({ value }) => value)
      .find((value) => value?.typeUrl.endsWith("runtimeoptions.v1.Options"));
    return {
      ...withOptions(options),
      ...(params.containerdTtrpcAddress === ""
        ? {}
        : { ttrpcAddress: params.containerdTtrpcAddress }),
      ...(params.socketDir === undefined ? {} : { socketDir: params.socketDir }),
    };
  }
  try {
    return withOptions(fromBinary(AnySchema, bytes));
  } catch {
    // Not ours to read: Create will be given the options once more.
    return {};
  }
}

function decodeBootstrap(bytes: Uint8Array): BootstrapParams | undefined {
  try {
    return fromBinary(BootstrapParamsSchema, bytes);
  } catch {
    return undefined;
  }
}

function withOptions(any: Any | undefined): StartInput {
  if (any === undefined || !any.typeUrl.endsWith("runtimeoptions.v1.Options")) return {};
  const { configBody } = fromBinary(OptionsSchema, any.value);
  return configBody.length === 0 ? {} : { optionsJson: new TextDecoder().decode(configBody) };
}
