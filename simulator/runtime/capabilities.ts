/** Linux capabilities of a container: containerd's default set, changed by the security context. */
import { runtimeError } from "./errors.ts";

/** containerd pkg/oci/spec.go defaultUnixCaps. */
export const defaultCapabilities: readonly string[] = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FSETID",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_NET_RAW",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETFCAP",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
  "CAP_AUDIT_WRITE",
];

/** By number, as in linux/capability.h: position = bit. */
export const allCapabilities: readonly string[] = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_DAC_READ_SEARCH",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETPCAP",
  "CAP_LINUX_IMMUTABLE",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_BROADCAST",
  "CAP_NET_ADMIN",
  "CAP_NET_RAW",
  "CAP_IPC_LOCK",
  "CAP_IPC_OWNER",
  "CAP_SYS_MODULE",
  "CAP_SYS_RAWIO",
  "CAP_SYS_CHROOT",
  "CAP_SYS_PTRACE",
  "CAP_SYS_PACCT",
  "CAP_SYS_ADMIN",
  "CAP_SYS_BOOT",
  "CAP_SYS_NICE",
  "CAP_SYS_RESOURCE",
  "CAP_SYS_TIME",
  "CAP_SYS_TTY_CONFIG",
  "CAP_MKNOD",
  "CAP_LEASE",
  "CAP_AUDIT_WRITE",
  "CAP_AUDIT_CONTROL",
  "CAP_SETFCAP",
  "CAP_MAC_OVERRIDE",
  "CAP_MAC_ADMIN",
  "CAP_SYSLOG",
  "CAP_WAKE_ALARM",
  "CAP_BLOCK_SUSPEND",
  "CAP_AUDIT_READ",
  "CAP_PERFMON",
  "CAP_BPF",
  "CAP_CHECKPOINT_RESTORE",
];

export interface CapabilityChange {
  readonly privileged: boolean;
  readonly add: readonly string[];
  readonly drop: readonly string[];
}

/**
 * Order as in containerd's CRI part (container_create_linux.go): ALL before single names, adds
 * before drops. Names are taken with or without CAP_, in any case; an unknown name is refused.
 */
export function capabilitySet(change: CapabilityChange): readonly string[] {
  if (change.privileged) return allCapabilities;
  const add = change.add.map(normalise);
  const drop = change.drop.map(normalise);
  let set = new Set(defaultCapabilities);
  if (add.includes("ALL")) set = new Set(allCapabilities);
  if (drop.includes("ALL")) set = new Set();
  for (const name of add) if (name !== "ALL") set.add(name);
  for (const name of drop) if (name !== "ALL") set.delete(name);
  return [...set];
}

function normalise(name: string): string {
  const upper = name.toUpperCase();
  if (upper === "ALL") return upper;
  const full = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  if (allCapabilities.includes(full)) return full;
  throw runtimeError("CONTAINER_CREATE_FAILED", `unknown capability "${full}"`, {
    hint: "See capabilities(7) for the names.",
  });
}
