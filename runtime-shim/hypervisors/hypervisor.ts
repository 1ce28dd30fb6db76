/**
 * CONTRACT: what a sandbox asks of a hypervisor. One implementation per technology, each made of a
 * driver here, a file in `command-line/` and one in `control/`; `registry.ts` lists them.
 */
import type { Socket } from "node:net";
import type { VmmCgroup } from "../confinement/vmm-cgroup.ts";
import type { VmmPlace } from "../confinement/vmm-place.ts";
import type { UserNetwork } from "../network/user-network.ts";

export type Accelerator = "kvm" | "mshv" | "tcg";

export type Nic =
  /** A tap that is made for it, in a network namespace that the VMM is alone in. */
  | { readonly kind: "tap"; readonly mac: string; readonly tap: string }
  /** A network that the VMM plays for this guest alone; QEMU can. */
  | ({
      readonly kind: "user";
      readonly mac: string;
      readonly egress: Egress;
      /** Where the VMM runs, and so where it leads to; absent = where this process does. */
      readonly netnsPath?: string;
    } & Pick<UserNetwork, "subnet" | "gateway" | "nameserver">);

export const egressChoices = ["none", "open"] as const;
export type Egress = (typeof egressChoices)[number];

export type TapNic = Extract<Nic, { kind: "tap" }>;

export interface VmShape {
  readonly vcpus: number;
  readonly memoryMib: number;
}

export interface VmSpec extends VmShape {
  /** The sandbox's id. */
  readonly id: string;
  /** What `resize` may make of it; absent = it stays as it is. */
  readonly most?: VmShape;
  readonly accelerator: Accelerator;
  readonly kernel: string;
  readonly initrd: string;
  /** What `confinement/native/open-read-only.c` becomes. */
  readonly openReadOnly: string;
  /** What `confinement/native/no-kernel.S` becomes: read instead of kernel and initrd where a VM is restored. */
  readonly noKernel: string;
  readonly nic?: Nic;
  /** Where the VMM is put, once it runs. */
  readonly cgroup?: VmmCgroup;
  /** As whom, and with which files; absent = as this process. */
  readonly place?: VmmPlace;
  /** Both in a folder of the VMM's own. QEMU connects the agent's port to it; Cloud Hypervisor listens at it, in hybrid-vsock style. */
  readonly agentSocket: string;
  readonly controlSocket: string;
  readonly consoleLog: string;
  /** All disks are hot-plugged, also where the hypervisor has slots for some. */
  readonly withoutSlots?: boolean;
  /** The guest's memory can be mapped by another process: what a shared folder needs. */
  readonly sharedMemory?: boolean;
  /**
   * A folder that `snapshot` will be given: a hypervisor that can keeps the guest's memory in a file there
   * from the start, so that what is restored shares its pages. Not together with `sharedMemory`.
   */
  readonly savedTo?: string;
  /** What software emulation keeps translated code in; absent = what a VM needs to start. */
  readonly codeCacheMib?: number;
  /** The VMM's pid and start time, for whoever has to clean up after this process. */
  readonly pidFile: string;
  /** Told when the VMM runs, and its tap is there; the guest takes longer. */
  readonly onRunning?: (vmmPid: number) => void;
}

/**
 * No shared folder for a restored VM: its memory is a copy on write, of which a vhost-user daemon would
 * map the saved pages instead of the guest's, and hang or spoil the snapshot.
 */
export type CloneSpec = Omit<VmSpec, "sharedMemory" | "savedTo">;

export interface Disk {
  /** At most 20 characters; the guest finds the disk by it. */
  readonly serial: string;
  readonly path: string;
  readonly readOnly: boolean;
}

/** A folder that a vhost-user-fs daemon serves at the socket. */
export interface SharedFolderDevice {
  readonly tag: string;
  readonly socket: string;
}

export interface VmExit {
  /** One sentence on what ended the VMM. */
  readonly reason: string;
  /** `stop` ended it: not a failure. */
  readonly expected: boolean;
}

export interface RunningVm {
  readonly pid: number;
  /** Of the program that runs, e.g. "7.2.22". */
  readonly version: string;
  readonly argv: readonly string[];
  /** performance.now() of the moment the VMM was executed. */
  readonly startedAtMs: number;
  /** The byte stream to the agent; rejects when the VMM ends before it has connected. */
  readonly agent: Promise<Socket>;
  /** Resolves once, with the reason, when the VMM is gone. */
  readonly exited: Promise<VmExit>;
  /**
   * Puts it into a slot the VM was started with, whose PCI address is answered; or hot-plugs it, and the
   * guest finds it by its serial. Rejects with VMM_CONTROL or VMM_GONE.
   */
  attachDisk(disk: Disk): Promise<string | undefined>;
  /**
   * Resolves when the guest has let go of it; one in a slot it must have let go of, or the VM be paused.
   * Succeeds when it is not plugged.
   */
  detachDisk(serial: string): Promise<void>;
  /** Hot-plugs, once for a VM with `sharedMemory`. Rejects with VMM_CONTROL or VMM_GONE. */
  attachFolder(folder: SharedFolderDevice): Promise<void>;
  /** Hot-plugs a tap of the VMM's network namespace. Rejects with VMM_CONTROL or VMM_GONE. */
  attachNic(nic: TapNic): Promise<void>;
  /** Resolves when the guest has let go of it. Succeeds when it is not plugged. */
  detachNic(mac: string): Promise<void>;
  /**
   * Grows the VM; the guest's agent takes what is new into use. Memory comes in steps of
   * `memoryStepMib` and stays. Cloud Hypervisor takes processors back, once the guest lets go of them.
   * Rejects with VM_SIZE for what it has no room for and for what is not taken back.
   */
  resize(shape: VmShape): Promise<void>;
  /** Stops the guest's clock and vCPUs; the agent does not answer until `resume`. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /**
   * Saves the paused VM, which stays paused, into an existing folder of its own. Rejects with
   * VMM_CONTROL when it runs, has disks or a shared folder, whose content would go on without the
   * saved memory, or was otherwise changed since its start.
   */
  snapshot(folder: string): Promise<void>;
  /** Console log and pid file go on under other names of the same file system. */
  moveFiles(files: Pick<VmSpec, "consoleLog" | "pidFile">): void;
  /** The last lines of the guest's console. */
  consoleTail(): string;
  /** Ends by the VMM's own verbs, by SIGKILL when it takes too long; resolves as `stop` does. Idempotent. */
  shutdown(): Promise<void>;
  /** SIGKILL; resolves when it is gone and its sockets are removed. Idempotent. */
  stop(): Promise<void>;
}

export interface Hypervisor {
  /** "qemu", "cloud-hypervisor". */
  readonly name: string;
  /**
   * What a restored VM must have in common with the saved one: the program, and the machine in its words,
   * without names, sockets and backends. Throws VMM_MISSING.
   */
  describe(spec: VmSpec): { readonly program: string; readonly machine: readonly string[] };
  /** Rejects with VMM_MISSING or VMM_START_FAILED; nothing is left behind then. */
  start(spec: VmSpec): Promise<RunningVm>;
  /** Its VMs have places for disks from the start: a guest can be saved with a disk in one, see `restore`. */
  readonly hasDiskSlots: boolean;
  /**
   * A new VM from a snapshot of the same hypervisor, running on from there. `spec` has the snapshot's
   * size and NIC; sockets and tap are its own. `disk`, as soon as it is made, is where the saved guest had a
   * disk of the same content in the first slot of its kind. The folder is never written to. Rejects as `start`
   * does, and as the disk.
   */
  restore(spec: CloneSpec, folder: string, disk?: Promise<Disk>): Promise<RunningVm>;
}
