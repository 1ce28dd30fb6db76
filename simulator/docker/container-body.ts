/**
 * What the engine is asked to create: the pause container that holds a pod's namespaces, the pod's
 * containers that join it, and short-lived helpers. Pure. As the kubelet's dockershim made them
 * (kubernetes v1.23 pkg/kubelet/dockershim: docker_sandbox.go, security_context.go).
 */
import { capabilitySet } from "../runtime/capabilities.ts";
import type { ContainerSpec, LinuxResources, SandboxSpec } from "../runtime-port.ts";
import type { BindMount, ContainerBody, Labels } from "./engine.ts";

// dockershim's DefaultShmSize, containerd's default too.
const shmBytes = 64 * 1024 * 1024;
// dockershim defaultSandboxCPUshares and defaultSandboxOOMAdj.
const pauseCpuShares = 2;
const pauseOomScoreAdj = -998;

/** Binary-safe and rotated, unlike the default "json-file"; read back into the CRI log. */
const logConfig = { Type: "local", Config: { "max-size": "16m", "max-file": "3" } };

export interface PauseInput {
  readonly image: string;
  readonly spec: SandboxSpec;
  readonly network: string;
  readonly labels: Labels;
  readonly minOomScoreAdj: number;
}

export function pauseBody({ image, spec, network, labels, minOomScoreAdj }: PauseInput) {
  return body({
    image,
    args: ["/pause"],
    labels,
    hostname: spec.hostname,
    host: {
      NetworkMode: network,
      IpcMode: spec.hostIpc ? "host" : "shareable",
      PidMode: spec.hostPid ? "host" : "",
      ShmSize: shmBytes,
      CpuShares: pauseCpuShares,
      OomScoreAdj: Math.max(pauseOomScoreAdj, minOomScoreAdj),
      Sysctls: { ...spec.sysctls },
      // Port-forward's helper runs beside pause and needs no more than it.
      CapDrop: ["ALL"],
      ReadonlyRootfs: true,
      SecurityOpt: ["no-new-privileges"],
    },
  });
}

export interface ContainerInput {
  readonly image: string;
  readonly sandboxId: string;
  readonly sandbox: Pick<SandboxSpec, "hostPid" | "hostIpc" | "shareProcessNamespace">;
  readonly spec: ContainerSpec;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] };
  readonly resolvConf: string;
  /** Text of the user's own profile, where one was asked for. */
  readonly localhostSeccomp: string | undefined;
  readonly labels: Labels;
  readonly minOomScoreAdj: number;
}

export function containerBody(input: ContainerInput): ContainerBody {
  const { spec, sandbox, sandboxId, user } = input;
  const { security } = spec;
  const capabilities = capabilitySet({
    privileged: security.privileged,
    add: security.capabilitiesAdd,
    drop: security.capabilitiesDrop,
  });
  const joined = `container:${sandboxId}`;
  const noNewPrivileges = !security.allowPrivilegeEscalation && !security.privileged;
  return body({
    image: input.image,
    args: input.args,
    env: input.env,
    user: `${user.uid}:${user.gid}`,
    cwd: input.cwd,
    labels: input.labels,
    tty: spec.tty,
    stdin: spec.stdin,
    stdinOnce: spec.stdinOnce,
    host: {
      NetworkMode: joined,
      IpcMode: sandbox.hostIpc ? "host" : joined,
      PidMode: sandbox.hostPid ? "host" : sandbox.shareProcessNamespace ? joined : "",
      Mounts: mounts(input),
      // Exactly the set the other adapter gives, whatever the engine's own default is.
      CapDrop: ["ALL"],
      CapAdd: [...capabilities],
      SecurityOpt: [...seccomp(input), ...(noNewPrivileges ? ["no-new-privileges"] : [])],
      GroupAdd: user.groups.map(String),
      Privileged: security.privileged,
      ReadonlyRootfs: security.readOnlyRootFilesystem,
      OomScoreAdj: Math.max(spec.oomScoreAdj, input.minOomScoreAdj),
      ...limits(spec.resources),
    },
  });
}

/** Ends one process of a container: the engine's API can start an exec but not end it. */
export function killerBody(image: string, containerId: string, pid: number, labels: Labels) {
  return body({
    image,
    args: ["/pause", "kill", String(pid)],
    labels,
    host: {
      NetworkMode: "none",
      PidMode: `container:${containerId}`,
      CapDrop: ["ALL"],
      CapAdd: ["CAP_KILL"],
      ReadonlyRootfs: true,
    },
  });
}

interface BodyParts {
  readonly image: string;
  readonly args: readonly string[];
  readonly env?: readonly string[];
  readonly user?: string;
  readonly cwd?: string;
  readonly labels: Labels;
  readonly hostname?: string;
  readonly tty?: boolean;
  readonly stdin?: boolean;
  readonly stdinOnce?: boolean;
  readonly host: Partial<ContainerBody["HostConfig"]> & { readonly NetworkMode: string };
}

function body(parts: BodyParts): ContainerBody {
  return {
    Image: parts.image,
    // The whole command: our images name none.
    Entrypoint: [...parts.args],
    Cmd: [],
    Env: [...(parts.env ?? [])],
    User: parts.user ?? "0:0",
    WorkingDir: parts.cwd ?? "/",
    Labels: { ...parts.labels },
    ...(parts.hostname === undefined ? {} : { Hostname: parts.hostname }),
    Tty: parts.tty ?? false,
    OpenStdin: parts.stdin ?? false,
    StdinOnce: parts.stdinOnce ?? false,
    HostConfig: {
      IpcMode: "private",
      PidMode: "",
      Mounts: [],
      CapAdd: [],
      CapDrop: [],
      SecurityOpt: [],
      GroupAdd: [],
      Privileged: false,
      ReadonlyRootfs: false,
      OomScoreAdj: 0,
      Sysctls: {},
      LogConfig: logConfig,
      ...parts.host,
    },
  };
}

function mounts({ spec, resolvConf }: ContainerInput): BindMount[] {
  const wanted = spec.mounts.map((mount) =>
    bind(mount.hostPath, mount.containerPath, mount.readOnly),
  );
  const taken = wanted.some(({ Target }) => Target === "/etc/resolv.conf");
  const readOnly = spec.security.readOnlyRootFilesystem;
  return taken ? wanted : [bind(resolvConf, "/etc/resolv.conf", readOnly), ...wanted];
}

function bind(source: string, target: string, readOnly: boolean): BindMount {
  return {
    Type: "bind",
    Source: source,
    Target: target,
    ReadOnly: readOnly,
    BindOptions: { Propagation: "rprivate" },
  };
}

/** Kubernetes' default is Unconfined, not Docker's; RuntimeDefault is the engine's own profile. */
function seccomp({ spec, localhostSeccomp }: ContainerInput): readonly string[] {
  if (spec.security.privileged) return [];
  if (localhostSeccomp !== undefined) return [`seccomp=${localhostSeccomp}`];
  return spec.security.seccomp?.type === "RuntimeDefault" ? [] : ["seccomp=unconfined"];
}

function limits(resources: LinuxResources): Partial<ContainerBody["HostConfig"]> {
  const { cpuQuotaUs, cpuPeriodUs, cpuShares, memoryBytes } = resources;
  return {
    ...(cpuQuotaUs === undefined ? {} : { CpuQuota: cpuQuotaUs }),
    ...(cpuPeriodUs === undefined ? {} : { CpuPeriod: cpuPeriodUs }),
    ...(cpuShares === undefined ? {} : { CpuShares: cpuShares }),
    // Without MemorySwap the engine adds as much swap again.
    ...(memoryBytes === undefined ? {} : { Memory: memoryBytes, MemorySwap: memoryBytes }),
  };
}
