/** OCI runtime spec → fields of CREATE_CONTAINER and EXEC (runtime-shim/guest/PROTOCOL.md). Pure. */

import { shimError } from "../errors.ts";
import type { FieldList } from "../guest-client/fields.ts";
import { capabilityMask } from "./capabilities.ts";
import type { GuestMount } from "./mounts.ts";
import { type Seccomp, seccompFields } from "./seccomp.ts";
import type { Spec, SpecProcess, SpecResources } from "./spec.ts";

export interface ContainerRoot {
  readonly lowerSerials: readonly string[];
  readonly upperSerial: string;
}

export function containerFields(
  id: string,
  spec: Spec,
  root: ContainerRoot,
  mounts: readonly GuestMount[],
): FieldList {
  const { linux, process } = spec;
  if (process === null || process === undefined) {
    throw shimError("BAD_BUNDLE", `the spec of container ${id} has no process`);
  }
  return [
    [1, id],
    ...root.lowerSerials.map((serial) => [2, serial] as const),
    [3, root.upperSerial],
    [4, spec.root?.readonly === true],
    ...mounts.map((mount) => [5, mountText(mount)] as const),
    [6, spec.hostname || undefined],
    [7, sharesPid(spec)],
    ...resourceFields(linux?.resources ?? {}),
    ...Object.entries(linux?.sysctl ?? {}).map(([key, value]) => [12, `${key}=${value}`] as const),
    ...(linux?.maskedPaths ?? []).map((path) => [13, path] as const),
    ...(linux?.readonlyPaths ?? []).map((path) => [14, path] as const),
    ...(linux?.resources?.devices ?? []).map((rule) => [15, deviceRule(rule)] as const),
    ...processFields(process, linux?.seccomp),
  ];
}

/** An exec is filtered as its container is. */
export function processFields(process: SpecProcess, seccomp?: Seccomp | null): FieldList {
  const { user, capabilities } = process;
  return [
    ...(process.args ?? []).map((arg) => [30, arg] as const),
    ...(process.env ?? []).map((entry) => [31, entry] as const),
    [32, process.cwd],
    [33, user.uid],
    [34, user.gid],
    ...(user.additionalGids ?? []).map((gid) => [35, gid] as const),
    [36, process.terminal === true],
    // Zero means "not known": the terminal's first resize will tell.
    [37, process.consoleSize?.width || undefined],
    [38, process.consoleSize?.height || undefined],
    [42, capabilityMask(capabilities?.bounding)],
    [43, capabilityMask(capabilities?.effective)],
    [44, capabilityMask(capabilities?.permitted)],
    [45, capabilityMask(capabilities?.inheritable)],
    [46, capabilityMask(capabilities?.ambient)],
    [47, process.noNewPrivileges === true],
    ...(process.rlimits ?? []).map(({ type, soft, hard }) => {
      return [
        48,
        `${type.replace(/^RLIMIT_/, "").toLowerCase()} ${limit(soft)} ${limit(hard)}`,
      ] as const;
    }),
    [49, process.oomScoreAdj ?? undefined],
    [50, user.umask ?? undefined],
    ...seccompFields(seccomp),
  ];
}

/** Of CREATE_CONTAINER and UPDATE. A quota or limit of 0 or less means none. */
export function resourceFields({ cpu, memory, pids }: SpecResources): FieldList {
  const positive = (value: number | null | undefined) =>
    value !== null && value !== undefined && value > 0 ? value : undefined;
  return [
    [8, positive(cpu?.quota)],
    [9, positive(cpu?.quota) === undefined ? undefined : positive(cpu?.period)],
    [10, positive(cpu?.shares)],
    [11, positive(memory?.limit)],
    [16, positive(pids?.limit)],
  ];
}

/** "allow c 10 229 rwm"; -1 is any number, and "a" any node whatever the numbers say. */
function deviceRule(rule: NonNullable<SpecResources["devices"]>[number]): string {
  const { allow, type, major, minor, access } = rule;
  const words = [type || "a", major ?? -1, minor ?? -1, access || "rwm"];
  return [allow ? "allow" : "deny", ...words].join(" ");
}

/** A path in the pid namespace entry means: join the sandbox's (shareProcessNamespace, hostPID). */
function sharesPid(spec: Spec): boolean {
  const pid = spec.linux?.namespaces?.find(({ type }) => type === "pid");
  return typeof pid?.path === "string" && pid.path !== "";
}

function mountText({ source, destination, type, options }: GuestMount): Buffer {
  const parts = [source, destination, type, options.join(",")];
  if (parts.some((part) => part.includes("\0"))) {
    throw shimError(
      "BAD_BUNDLE",
      `the mount on ${JSON.stringify(destination)} holds a NUL character`,
    );
  }
  return Buffer.from(parts.join("\0"));
}

/** RLIM_INFINITY is 2^64-1, which JSON numbers round up to 2^64. */
function limit(value: number): string {
  return value >= 2 ** 63 ? "18446744073709551615" : String(Math.max(0, Math.trunc(value)));
}
