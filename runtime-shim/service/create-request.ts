/** What a create request and its bundle say: kind of task, options, sizing, network. */

import { readFileSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { z } from "zod";
import { messageOf } from "../../common/errors.ts";
import { OptionsSchema } from "../../proto/containerd/gen/runtime_options_pb.js";
import { shimError } from "../errors.ts";
import type { Spec, SpecResources } from "../oci/spec.ts";
import { type ShimOptions, ShimOptionsSchema } from "../shim-options.ts";
import { type PodLimits, podLimitsFromAnnotations } from "../sizing/vm-size.ts";
import type { Task } from "./tasks.ts";

const containerTypeKey = "io.kubernetes.cri.container-type";

export function taskKind(spec: Spec): Task["kind"] {
  const type = spec.annotations?.[containerTypeKey];
  return type === "sandbox" || type === "container" ? type : "single";
}

/** A sandbox is sized by its annotations, a single container by its own limits. */
export function podLimits(spec: Spec): PodLimits {
  if (taskKind(spec) === "sandbox") return podLimitsFromAnnotations(spec.annotations ?? {});
  return limitsOf(spec.linux?.resources ?? {});
}

/** What is not named is left out; a quota of -1 takes a limit away. */
export function limitsOf({ cpu, memory }: SpecResources): PodLimits {
  return {
    ...(cpu?.quota ? { cpuQuotaUs: cpu.quota } : {}),
    ...(cpu?.period ? { cpuPeriodUs: cpu.period } : {}),
    ...(memory?.limit ? { memoryBytes: memory.limit } : {}),
  };
}

/** Path of the pod's network namespace; absent = the guest has no NIC, as with Kata's empty netns. */
export function networkNamespace(spec: Spec): string | undefined {
  return spec.linux?.namespaces?.find(({ type }) => type === "network")?.path || undefined;
}

/** JSON of our options inside containerd's, from the request or, failing that, from `start`. */
export function optionsJson(any: Any | undefined): string | undefined {
  if (any === undefined || !any.typeUrl.endsWith("runtimeoptions.v1.Options")) return undefined;
  const { configBody, configPath } = fromBinary(OptionsSchema, any.value);
  if (configBody.length > 0) return new TextDecoder().decode(configBody);
  if (configPath === "") return undefined;
  try {
    return readFileSync(configPath, "utf8");
  } catch (cause) {
    throw shimError("BAD_OPTIONS", `cannot read the runtime's ConfigPath: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** Throws BAD_OPTIONS naming what is wrong. */
export function parseOptions(json: string | undefined): ShimOptions {
  try {
    return ShimOptionsSchema.parse(json === undefined ? {} : JSON.parse(json));
  } catch (cause) {
    const words = cause instanceof z.ZodError ? z.prettifyError(cause) : messageOf(cause);
    throw shimError("BAD_OPTIONS", `the runtime's options are not usable: ${words}`, { cause });
  }
}
