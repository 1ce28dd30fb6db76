/**
 * Options of our runtime handler: JSON in `config_body` of containerd's runtimeoptions.v1.Options,
 * given on stdin of `start` (containerd ≤ 2.2) and in CreateTaskRequest.options.
 * Without options (plain `ctr run`) every field has a default.
 */
import { z } from "zod";
import type { TimelineStep } from "../common/timeline.ts";
import { egressChoices } from "./hypervisors/hypervisor.ts";
import { type GuestNetwork, networkChoices, requirements } from "./hypervisors/ladder.ts";

export const ShimOptionsSchema = z.strictObject({
  /** Folder with vmlinux, initramfs.cpio and release.json; default: the cache folder of this user. */
  guestDir: z.string().optional(),
  /** Name of a profile in `runtime-shim/sizing/profiles.ts`. */
  sizingProfile: z.enum(["aks-preview", "aks-ga"]).default("aks-preview"),
  /**
   * What an Update of the sandbox's task may bring its VM to: processors in sum, and memory. Fixed at the
   * boot; without them a VM keeps its size. Room for 32 processors costs a guest 9 MiB, room for memory
   * nothing that could be measured.
   */
  maxVcpus: z.int().positive().max(240).optional(),
  maxMemoryMib: z.int().positive().optional(),
  /** Forces a rung; "auto" takes the best one that the probe proves. */
  hypervisor: z.enum(["auto", "cloud-hypervisor", "qemu"]).default("auto"),
  accel: z.enum(["auto", "kvm", "mshv", "tcg"]).default("auto"),
  /** What the rung that is taken must be; a sandbox on a weaker one is refused. */
  require: z.enum(requirements).default("any"),
  /**
   * "netns": a tap beside the interface of the spec's network namespace; no NIC where there is none.
   * "user": a network that QEMU plays for this guest, with the address of the annotation
   * `katasim.dev/address` ("10.0.2.15/24" without one); nothing reaches the guest through it.
   * "none": no NIC.
   */
  network: z.enum(networkChoices).default("netns"),
  /**
   * Where a guest on the "user" network gets to: nowhere, or wherever the VMM's user does, this
   * machine's loopback (by the gateway) included.
   */
  egress: z.enum(egressChoices).default("none"),
  /** Folder for the shim's, VMM's and guest's sockets; default: the sandbox bundle. */
  socketDir: z.string().optional(),
  /** JSON log lines of the shim; default: the bundle's `log` FIFO. */
  logFile: z.string().optional(),
  logLevel: z.enum(["debug", "info", "warn", "error"]).default("info"),
  /**
   * Whether a sandbox whose annotations do not say it (`katasim.dev/shared-folders`) can share folders
   * of the host: that needs memory which cannot be a clone of a template's.
   */
  sharedFolders: z.boolean().default(true),
  /** Folder for cached probe verdicts; default: guestDir. */
  probeCacheDir: z.string().optional(),
  /** Folder for packed root file systems, shared by sandboxes; default: `rootfs` in the user's cache. */
  rootfsCacheDir: z.string().optional(),
  /** What that folder may hold before the least recently used is removed. */
  rootfsCacheMib: z.int().positive().default(10_240),
  /** Whether VMs are cloned from templates; without them every VM boots. */
  templates: z.boolean().default(true),
  /** Folder for templates, shared by sandboxes; default: `templates` in the user's cache. */
  templateDir: z.string().optional(),
  /** What that folder may hold before the least recently used is removed. */
  templateCacheMib: z.int().positive().default(4_096),
  /** From the VMM's start to a guest that is ready for containers; then the sandbox is given up. */
  bootTimeoutSeconds: z.number().positive().max(3_600).default(60),
  /**
   * How long the guest's agent may leave a request unanswered before the sandbox ends, with that as the
   * reason. It is asked at least as often, and twice a minute, so a guest that hangs is noticed within
   * twice this time. What a busy guest on a busy machine needs for a disk is 10 s and more.
   */
  guestTimeoutSeconds: z.number().positive().max(3_600).default(60),
});

export type StartKind = "cold" | "template" | "pool";

export type ShimOptions = z.infer<typeof ShimOptionsSchema>;

/**
 * Facts of a booted sandbox, written atomically by the shim to `<sandbox bundle>/vm.json` before
 * Create answers. Read by the node agent and by `katasim sandbox`.
 */
export interface VmRecord {
  readonly hypervisor: string;
  readonly hypervisorVersion: string;
  readonly accelerator: string;
  readonly network: GuestNetwork;
  /** As it is now: an Update of the sandbox's task may change both. */
  readonly vcpus: number;
  readonly memoryMib: number;
  /** How far such an Update may go; absent = nowhere. */
  readonly most?: { readonly vcpus: number; readonly memoryMib: number };
  /** Line by line arithmetic behind vcpus and memoryMib. */
  readonly sizing: readonly string[];
  /** The VMM's limits on the host; absent where cgroups cannot be written. */
  readonly cgroup?: {
    readonly path: string;
    readonly cpuMillis: number;
    readonly memoryMib: number;
  };
  readonly vmmPid: number;
  /** The user the VMM runs as: one of its own where the shim may change users. */
  readonly vmmUid: number;
  readonly shimPid: number;
  readonly kernelRelease: string;
  readonly bootId: string;
  /** Booted, or cloned from a template: for this sandbox, or before there was one. */
  readonly startKind: StartKind;
  /** Why it was booted although it was to be cloned. */
  readonly fellBack?: string;
  /** Milliseconds from exec of the VMM to the agent's first answer. */
  readonly bootMs: number;
  /** How its start went, as the shim sees it; absent from shims of an earlier version. */
  readonly timeline?: readonly TimelineStep[];
  readonly consoleLog: string;
  /**
   * Unix socket for connections into the pod's network, in hybrid-vsock style: the client writes
   * `CONNECT <tcp port>\n`, the shim answers `OK <port>\n` or `ERROR <words>\n`; raw bytes follow.
   */
  readonly dialSocket: string;
  readonly argv: readonly string[];
}
