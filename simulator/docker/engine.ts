/**
 * CONTRACT: what the adapter asks of a Docker Engine, as plain types: the part of the Engine API
 * (v1.41 and later; docs.docker.com/engine/api) that a pod needs. `dockerode-engine.ts` is the only
 * implementation, and nobody else knows the client behind it. Rejects with codes of `errors.ts`.
 */
import type { Duplex, Readable } from "node:stream";

export interface EngineFacts {
  /** "20.10.24+dfsg1" */
  readonly version: string;
  readonly apiVersion: string;
  /** `uname -r` of the kernel the engine's containers run on. */
  readonly kernelRelease: string;
  /** Names the engine knows for `HostConfig.Runtime`, with their containerd type where it has one. */
  readonly runtimes: Readonly<Record<string, string | undefined>>;
  readonly rootless: boolean;
}

export type Labels = Readonly<Record<string, string>>;

export interface BindMount {
  readonly Type: "bind";
  readonly Source: string;
  readonly Target: string;
  readonly ReadOnly: boolean;
  readonly BindOptions: { readonly Propagation: "rprivate" };
}

/** Body of POST /containers/create, in the API's own words. */
export interface ContainerBody {
  readonly Image: string;
  readonly Entrypoint: string[];
  readonly Cmd: string[];
  readonly Env: string[];
  readonly User: string;
  readonly WorkingDir: string;
  readonly Labels: Record<string, string>;
  readonly Hostname?: string;
  readonly Tty: boolean;
  readonly OpenStdin: boolean;
  readonly StdinOnce: boolean;
  readonly NetworkDisabled?: boolean;
  readonly HostConfig: {
    readonly NetworkMode: string;
    readonly IpcMode: string;
    readonly PidMode: string;
    readonly Mounts: BindMount[];
    readonly CapAdd: string[];
    readonly CapDrop: string[];
    readonly SecurityOpt: string[];
    readonly GroupAdd: string[];
    readonly Privileged: boolean;
    readonly ReadonlyRootfs: boolean;
    readonly OomScoreAdj: number;
    readonly Sysctls: Record<string, string>;
    readonly ShmSize?: number;
    readonly CpuQuota?: number;
    readonly CpuPeriod?: number;
    readonly CpuShares?: number;
    readonly Memory?: number;
    readonly MemorySwap?: number;
    readonly LogConfig: { readonly Type: string; readonly Config: Record<string, string> };
  };
}

export interface ContainerFacts {
  readonly id: string;
  readonly labels: Labels;
  readonly status: "created" | "running" | "exited";
  readonly createdAtMs: number;
  readonly startedAtMs: number | undefined;
  readonly finishedAtMs: number | undefined;
  readonly exitCode: number;
  readonly oomKilled: boolean;
  /** Why it could not be started; "" when nothing went wrong. */
  readonly error: string;
  /** On the network asked for. */
  readonly ip: string | undefined;
}

export interface ExecFacts {
  readonly running: boolean;
  /** On the engine's machine; 0 when it never ran. */
  readonly pid: number;
  readonly exitCode: number | undefined;
}

export interface EngineUsage {
  readonly cpuUsageNs: number;
  readonly memoryUsageBytes: number;
  readonly inactiveFileBytes: number;
}

export interface EngineEvent {
  /** "die", "oom", "start" … */
  readonly action: string;
  readonly containerId: string;
}

export interface DockerEngine {
  /** "unix:///var/run/docker.sock" */
  readonly address: string;
  facts(): Promise<EngineFacts>;

  hasImage(name: string): Promise<boolean>;
  /** Makes an image of one layer from an uncompressed tar of its root. */
  importImage(name: string, rootfsTar: Readable, labels: Labels): Promise<void>;
  /** Archive as `docker save` writes it. */
  saveImage(name: string): Promise<Readable>;

  /** Does nothing when there is one of this name. */
  ensureNetwork(name: string, labels: Labels): Promise<void>;
  /** Succeeds when it is gone. */
  removeNetwork(name: string): Promise<void>;

  createContainer(name: string, body: ContainerBody): Promise<string>;
  startContainer(id: string): Promise<void>;
  /** Succeeds when it does not run. */
  killContainer(id: string, signal: number): Promise<void>;
  /** Kills it first; succeeds when it is gone. */
  removeContainer(id: string): Promise<void>;
  inspectContainer(id: string): Promise<ContainerFacts | undefined>;
  /** Ids, running or not, that carry every one of the labels. */
  listContainers(labels: Labels): Promise<readonly string[]>;
  usage(id: string): Promise<EngineUsage | undefined>;

  /** Follows the log from a time on, with times; ends when the container has ended. */
  followLog(id: string, sinceEpochSeconds: string): Promise<Readable>;
  /** The container's streams from now on; framed unless it has a terminal. */
  attach(id: string, wantsStdin: boolean): Promise<Duplex>;
  resizeContainer(id: string, columns: number, rows: number): Promise<void>;

  createExec(
    containerId: string,
    options: {
      readonly command: readonly string[];
      readonly tty: boolean;
      readonly stdin: boolean;
    },
  ): Promise<string>;
  startExec(execId: string, tty: boolean): Promise<Duplex>;
  inspectExec(execId: string): Promise<ExecFacts>;
  resizeExec(execId: string, columns: number, rows: number): Promise<void>;

  /** Events of containers with the label, from now on; ends when the connection does. */
  events(labels: Labels, signal: AbortSignal): Promise<AsyncIterable<EngineEvent>>;
}
