/**
 * The parts of an OCI runtime spec (opencontainers/runtime-spec config.md) that a VM shim uses.
 * Everything else is dropped, as Kata's constrainGRPCSpec drops it: hooks, devices, block I/O weights.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { messageOf } from "../../common/errors.ts";
import { shimError } from "../errors.ts";
import { SeccompSchema } from "./seccomp.ts";

const strings = z.array(z.string()).nullish();

export const LinuxResourcesSchema = z.object({
  cpu: z
    .object({
      shares: z.number().nullish(),
      quota: z.number().nullish(),
      period: z.number().nullish(),
    })
    .nullish(),
  memory: z.object({ limit: z.number().nullish() }).nullish(),
  pids: z.object({ limit: z.number().nullish() }).nullish(),
  devices: z
    .array(
      z.object({
        allow: z.boolean().default(false),
        type: z.string().nullish(),
        major: z.number().nullish(),
        minor: z.number().nullish(),
        access: z.string().nullish(),
      }),
    )
    .nullish(),
});

export const ProcessSchema = z.object({
  terminal: z.boolean().nullish(),
  consoleSize: z.object({ height: z.number(), width: z.number() }).nullish(),
  user: z
    .object({
      uid: z.number().default(0),
      gid: z.number().default(0),
      umask: z.number().nullish(),
      additionalGids: z.array(z.number()).nullish(),
    })
    .default({ uid: 0, gid: 0 }),
  args: z.array(z.string()).nullish(),
  env: strings,
  cwd: z.string().default("/"),
  capabilities: z
    .object({
      bounding: strings,
      effective: strings,
      inheritable: strings,
      permitted: strings,
      ambient: strings,
    })
    .nullish(),
  rlimits: z.array(z.object({ type: z.string(), hard: z.number(), soft: z.number() })).nullish(),
  noNewPrivileges: z.boolean().nullish(),
  oomScoreAdj: z.number().nullish(),
});

const MountSchema = z.object({
  destination: z.string(),
  type: z.string().nullish(),
  source: z.string().nullish(),
  options: strings,
});

export const SpecSchema = z.object({
  process: ProcessSchema.nullish(),
  root: z.object({ path: z.string().nullish(), readonly: z.boolean().nullish() }).nullish(),
  hostname: z.string().nullish(),
  mounts: z.array(MountSchema).nullish(),
  annotations: z.record(z.string(), z.string()).nullish(),
  linux: z
    .object({
      cgroupsPath: z.string().nullish(),
      namespaces: z.array(z.object({ type: z.string(), path: z.string().nullish() })).nullish(),
      sysctl: z.record(z.string(), z.string()).nullish(),
      resources: LinuxResourcesSchema.nullish(),
      maskedPaths: strings,
      readonlyPaths: strings,
      seccomp: SeccompSchema.nullish(),
    })
    .nullish(),
});

export type Spec = z.infer<typeof SpecSchema>;
export type SpecProcess = z.infer<typeof ProcessSchema>;
export type SpecMount = z.infer<typeof MountSchema>;
export type SpecResources = z.infer<typeof LinuxResourcesSchema>;

/** Throws BAD_BUNDLE naming the file and what is wrong with it. */
export function readSpec(bundle: string): Spec {
  const path = join(bundle, "config.json");
  try {
    return SpecSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    throw shimError("BAD_BUNDLE", `cannot use ${path}: ${messageOf(cause)}`, { cause });
  }
}
