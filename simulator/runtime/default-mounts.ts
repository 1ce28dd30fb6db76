/**
 * Mounts and hidden paths that every container has. Sources: containerd pkg/oci/mounts.go,
 * pkg/oci/spec.go (maskedPaths, readonlyPaths).
 */
import type { OciMount } from "./oci-types.ts";

export const maskedPaths: readonly string[] = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/sys/firmware",
  "/proc/scsi",
];

export const readonlyPaths: readonly string[] = [
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];

export interface SystemMountOptions {
  /** Privileged containers may write to /sys and the cgroups. */
  readonly privileged: boolean;
  readonly cgroup: boolean;
  readonly cgroupVersion?: 1 | 2;
}

export function systemMounts(options: SystemMountOptions): readonly OciMount[] {
  const mode = options.privileged ? "rw" : "ro";
  const plain = ["nosuid", "noexec", "nodev"];
  return [
    { destination: "/proc", type: "proc", source: "proc", options: plain },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: plain },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: [...plain, mode] },
    ...(options.cgroup
      ? [
          {
            destination: "/sys/fs/cgroup",
            type: "cgroup",
            source: "cgroup",
            options: [...plain, "relatime", mode],
          },
        ]
      : []),
  ];
}
