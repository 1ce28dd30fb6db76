/**
 * CONTRACT: all the node agent may ask of container runtimes. It is the Container Runtime Interface
 * (kubernetes/cri-api runtime.v1) reduced to what the agent uses, as plain types. One implementation
 * routes by runtime handler (`simulator/runtime`), as containerd does with its config table.
 *
 * Every verb is safe to repeat: stop and remove of something that is gone succeed.
 */
import type { Duplex, Readable, Writable } from "node:stream";
import type { SizingProfile } from "../runtime-shim/index.ts";

export type SandboxState = "ready" | "notready";
export type ContainerState = "created" | "running" | "exited";

export interface LinuxResources {
  /** CFS quota in microseconds per period; absent = unlimited. */
  readonly cpuQuotaUs?: number;
  readonly cpuPeriodUs?: number;
  readonly cpuShares?: number;
  /** Bytes; absent = unlimited. */
  readonly memoryBytes?: number;
}

export interface SandboxSpec {
  readonly podName: string;
  readonly podNamespace: string;
  readonly podUid: string;
  /** Counts sandboxes of the same pod (restarts of the VM). */
  readonly attempt: number;
  readonly hostname: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Sum over the pod, WITHOUT overhead: what containerd puts in the sandbox annotations. */
  readonly resources: LinuxResources;
  readonly hostNetwork: boolean;
  readonly hostPid: boolean;
  readonly hostIpc: boolean;
  readonly shareProcessNamespace: boolean;
  /** Lines of the pod's resolv.conf. */
  /** The group that volumes belong to: securityContext.fsGroup. */
  readonly fsGroup?: number;
  readonly dns: {
    readonly servers: readonly string[];
    readonly searches: readonly string[];
    readonly options: readonly string[];
  };
  readonly sysctls: Readonly<Record<string, string>>;
  /** Ports of the node that lead to the pod, where its network can open them. */
  readonly hostPorts?: readonly HostPort[];
  /** What a VM shim has to know of the pod's volumes before there are containers. */
  readonly volumes?: {
    readonly sharesFolders: boolean;
    /** sizeLimit by volume. */
    readonly emptyDirBytes: Readonly<Record<string, number>>;
  };
}

/** As CNI's portMappings capability words it. */
export interface HostPort {
  readonly hostPort: number;
  readonly containerPort: number;
  /** "tcp" | "udp" | "sctp" */
  readonly protocol: string;
  readonly hostIP?: string;
}

/**
 * What hosts the sandbox's kernel; `undefined` for a container on the shared kernel. What a foreign shim
 * does not tell is absent.
 */
export interface VmFacts {
  readonly hypervisor: string;
  /** "kvm" | "mshv" | "tcg" */
  readonly accelerator: string;
  readonly vcpus: number;
  readonly memoryMib: number;
  readonly pid: number;
  /** `uname -r` of the guest. */
  readonly kernelRelease?: string;
  readonly bootId?: string;
  /** "cold" until templates exist. */
  readonly startKind?: string;
  /** Milliseconds from exec of the VMM to the agent's first answer. */
  readonly bootMs?: number;
  readonly consoleLog?: string;
  /** A configuration that is not ours gave it its size: Kata's own file. */
  readonly sizedBy?: string;
}

export interface SandboxStatus {
  readonly id: string;
  readonly state: SandboxState;
  readonly handler: string;
  readonly podUid: string;
  readonly attempt: number;
  readonly createdAtMs: number;
  /** What runs it where that is no shim, e.g. "Docker Engine 20.10.24". */
  readonly engine?: string;
  /** The pod's address; absent with hostNetwork, and where the pod has none. */
  readonly ip?: string;
  /** What the pod cannot do on its network, in a sentence. */
  readonly networkLimit?: string;
  /** Why the sandbox is not ready (VMM died, shim died), in words. */
  readonly reason?: string;
  readonly vm?: VmFacts;
}

/**
 * A bind of something the agent prepared on the host, in kubelet's own layout
 * (`<pods>/<uid>/volumes/kubernetes.io~empty-dir/<name>` …). As in Kata, a VM shim recognises
 * empty-dir paths and makes them inside the guest (tmpfs when the host path is one), copies what comes
 * of the API, and shares any other folder or file. A sub path is already part of `hostPath`.
 */
export interface ContainerMount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly readOnly: boolean;
}

export interface SecurityContext {
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly runAsNonRoot?: boolean;
  readonly supplementalGroups: readonly number[];
  readonly readOnlyRootFilesystem: boolean;
  readonly privileged: boolean;
  readonly allowPrivilegeEscalation: boolean;
  readonly capabilitiesAdd: readonly string[];
  readonly capabilitiesDrop: readonly string[];
  /** System call filter; absent = unconfined. */
  readonly seccomp?: SeccompChoice;
}

export type SeccompChoice =
  | { readonly type: "RuntimeDefault" }
  /** A file with a profile of the OCI runtime spec, below the node's own folder for them. */
  | { readonly type: "Localhost"; readonly file: string };

export interface ContainerSpec {
  readonly name: string;
  readonly attempt: number;
  /** What `ImageService.resolve` answered. */
  readonly image: ImageRef;
  /** Overrides the image's entrypoint / cmd as Kubernetes command / args do. */
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env: ReadonlyArray<{ readonly name: string; readonly value: string }>;
  readonly workingDir?: string;
  readonly mounts: readonly ContainerMount[];
  readonly resources: LinuxResources;
  readonly oomScoreAdj: number;
  readonly security: SecurityContext;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  /** Absolute file the CRI-format log is appended to. */
  readonly logPath: string;
}

export interface ContainerStatus {
  readonly id: string;
  readonly sandboxId: string;
  readonly name: string;
  readonly attempt: number;
  readonly state: ContainerState;
  readonly createdAtMs: number;
  readonly startedAtMs?: number;
  readonly finishedAtMs?: number;
  readonly exitCode?: number;
  /** "Completed" | "Error" | "OOMKilled" | "StartError" | "ContainerStatusUnknown" */
  readonly reason?: string;
  /** The true cause in words, e.g. "the virtual machine monitor (qemu, pid 123) was killed by SIGKILL". */
  readonly message?: string;
  readonly image: ImageRef;
  readonly logPath: string;
}

/** A running process's streams; stderr is absent with a terminal. */
export interface ProcessStreams {
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable | undefined;
  resize(columns: number, rows: number): Promise<void>;
}

export interface ExecSession extends ProcessStreams {
  /** Resolves once the process ended AND its output was delivered. */
  readonly exitCode: Promise<number>;
  /** Ends the process when the client has gone. */
  close(): Promise<void>;
}

export interface AttachSession extends ProcessStreams {
  /** Resolves when the container ended or its streams closed. */
  readonly done: Promise<void>;
  close(): void;
}

export interface ContainerUsage {
  readonly containerId: string;
  readonly name: string;
  /** Cumulative CPU time in nanoseconds. */
  readonly cpuUsageNs: number;
  readonly memoryWorkingSetBytes: number;
}

export type RuntimeEvent =
  | { readonly type: "containerExited"; readonly sandboxId: string; readonly containerId: string }
  | { readonly type: "sandboxExited"; readonly sandboxId: string; readonly reason: string }
  | { readonly type: "oom"; readonly sandboxId: string; readonly containerId: string };

export interface HandlerStatus {
  readonly name: string;
  /** The shim or engine that serves it, e.g. "containerd-shim-runc-v2 (1.6.20)". */
  readonly engine: string;
  readonly sandboxed: boolean;
  readonly usable: boolean;
  /** One sentence; with a remedy when not usable. */
  readonly reason: string;
  readonly sizingProfile?: string;
  /** The rule itself. */
  readonly sizing?: SizingProfile;
  /** Genuine Kata serves it, by this file. */
  readonly kataConfiguration?: string;
  /** What else could serve it, and what that would take. */
  readonly alternative?: string;
  readonly hypervisor?: string;
  readonly accelerator?: string;
  /** With a VM shim of ours: every rung of the hypervisor ladder, best first. */
  readonly rungs?: readonly RungReport[];
}

/** One hypervisor on one accelerator, and whether it works on this machine. */
export interface RungReport {
  readonly hypervisor: string;
  readonly accelerator: string;
  readonly usable: boolean;
  /** One sentence: what was done and what came of it. */
  readonly explanation: string;
  /** What would make it usable. */
  readonly remedy?: string;
}

export interface ContainerRuntime {
  handlers(): Promise<readonly HandlerStatus[]>;
  /** Creates the network namespace, starts the shim and, with a VM handler, boots the VM. */
  runSandbox(handler: string, spec: SandboxSpec, signal?: AbortSignal): Promise<SandboxStatus>;
  sandboxStatus(sandboxId: string): Promise<SandboxStatus | undefined>;
  listSandboxes(): Promise<readonly SandboxStatus[]>;
  /** Kills what runs in it; keeps records so that statuses can be read. */
  stopSandbox(sandboxId: string): Promise<void>;
  /** Leaves nothing: process, mount, netns, tap, file. */
  removeSandbox(sandboxId: string): Promise<void>;

  createContainer(sandboxId: string, spec: ContainerSpec): Promise<ContainerStatus>;
  startContainer(containerId: string): Promise<ContainerStatus>;
  /** SIGTERM, then SIGKILL after `graceMs`; resolves when it has exited. */
  stopContainer(containerId: string, graceMs: number): Promise<void>;
  removeContainer(containerId: string): Promise<void>;
  containerStatus(containerId: string): Promise<ContainerStatus | undefined>;
  listContainers(sandboxId: string): Promise<readonly ContainerStatus[]>;

  exec(
    containerId: string,
    options: {
      readonly command: readonly string[];
      readonly tty: boolean;
      readonly stdin: boolean;
    },
  ): Promise<ExecSession>;
  attach(containerId: string, options: { readonly stdin: boolean }): Promise<AttachSession>;
  /** A connection to 127.0.0.1:port inside the pod's network. Rejects with the real reason. */
  portForward(sandboxId: string, port: number): Promise<Duplex>;
  usage(sandboxId: string): Promise<readonly ContainerUsage[]>;

  /** Called for every event until the returned function is called. */
  onEvent(listener: (event: RuntimeEvent) => void): () => void;
  /** Finds the shims of an earlier process again; must be awaited before any other verb. */
  recover(): Promise<void>;
  /** Lets go of connections and files; sandboxes keep running. */
  close(): Promise<void>;
}

/** An image this node holds. */
export interface ImageRef {
  /** The name as the pod asked for it. */
  readonly requested: string;
  /** The canonical name it was served from (differs when a mirror or alias was used). */
  readonly resolved: string;
  /** Config digest, "sha256:…": Kubernetes' imageID. */
  readonly id: string;
  readonly sizeBytes: number;
}

export interface ImageService {
  /**
   * The image if it is here (under its own name or by alias). Never fetches. `substituteReason` as
   * with `pull`.
   */
  find(name: string): Promise<(ImageRef & { readonly substituteReason?: string }) | undefined>;
  /**
   * Fetches it. Rejects with the registry's reason. When a configured substitute is served, the
   * answer's `substituteReason` says so in one plain sentence for the pod's events.
   */
  pull(
    name: string,
    signal?: AbortSignal,
  ): Promise<ImageRef & { readonly substituteReason?: string }>;
}
