/**
 * Builds the OCI spec of pod containers and of the sandbox as containerd's CRI part does. Pure: all
 * look-ups are done by the caller. Sources: containerd pkg/oci/spec.go populateDefaultUnixSpec,
 * internal/cri/server/container_create_linux.go, internal/cri/server/podsandbox/sandbox_run_linux.go.
 */
import {
  addressAnnotation,
  emptyDirSizesAnnotation,
  fsGroupAnnotation,
  sharedFoldersAnnotation,
} from "../../runtime-shim/index.ts";
import type { ContainerSpec, LinuxResources, SandboxSpec } from "../runtime-port.ts";
import { capabilitySet } from "./capabilities.ts";
import { maskedPaths, readonlyPaths, systemMounts } from "./default-mounts.ts";
import { defaultSeccomp } from "./default-seccomp.ts";
import type { HostLimits } from "./host-limits.ts";
import type {
  OciDevice,
  OciMount,
  OciNamespace,
  OciProcess,
  OciResources,
  OciSeccomp,
  OciSpec,
  OciUser,
} from "./oci-types.ts";

const ociVersion = "1.0.2";
// systemd's LimitNOFILE of the containerd unit on AKS nodes; the kernel's default of 1024 in a
// fresh VM would surprise servers.
const openFiles = 1_048_576;
const annotationPrefix = "io.kubernetes.cri.";
// containerd's podsandbox: the sandbox is the last process the kernel may kill.
const sandboxOomScoreAdj = -998;

export interface SandboxSpecInput {
  readonly sandboxId: string;
  readonly spec: SandboxSpec;
  readonly cgroupsPath: string;
  /** The pod's network namespace, or the node's with hostNetwork; a VM may play its network itself. */
  readonly netnsPath: string | undefined;
  /** The guest's own address, where its VM does. */
  readonly guestAddress: string | undefined;
  readonly logDirectory: string;
  readonly files: SandboxFiles;
  readonly limits: HostLimits;
}

/** Host files that every container of the pod gets; absent ones are not mounted. */
export interface SandboxFiles {
  readonly hostname: string;
  readonly resolvConf: string;
  /** Folder with a tmpfs that the pod's containers share. */
  readonly shm: string;
}

export interface ContainerSpecInput {
  readonly sandboxId: string;
  readonly sandbox: SandboxSpec;
  /** A process whose namespaces the container joins: pause, or the VMM. */
  readonly sandboxPid: number;
  readonly netnsPath: string | undefined;
  readonly spec: ContainerSpec;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: OciUser;
  readonly cgroupsPath: string;
  readonly cgroupVersion: 1 | 2;
  readonly files: SandboxFiles;
  /** Device nodes of the host for privileged containers on the shared kernel. */
  readonly hostDevices: readonly OciDevice[];
  readonly limits: HostLimits;
  /** What a Localhost profile's file holds. */
  readonly localhostSeccomp?: OciSeccomp | undefined;
}

export function sandboxOciSpec(input: SandboxSpecInput): OciSpec {
  const { spec, files } = input;
  const namespaces: OciNamespace[] = [{ type: "mount" }, network(input.netnsPath)];
  if (!spec.hostPid) namespaces.push({ type: "pid" });
  if (!spec.hostIpc) namespaces.push({ type: "ipc" });
  if (!spec.hostNetwork) namespaces.push({ type: "uts" });
  return {
    ociVersion,
    process: {
      user: { uid: 0, gid: 0 },
      args: ["/pause"],
      env: ["PATH=/"],
      cwd: "/",
      ...processDefaults(capabilitySet({ privileged: false, add: [], drop: [] }), input.limits),
      noNewPrivileges: true,
      oomScoreAdj: Math.max(sandboxOomScoreAdj, input.limits.minOomScoreAdj),
    },
    root: { path: "rootfs", readonly: true },
    ...(spec.hostNetwork ? {} : { hostname: spec.hostname }),
    mounts: [...systemMounts({ privileged: false, cgroup: false }), ...fileMounts(files, true)],
    annotations: sandboxAnnotations(input),
    linux: {
      cgroupsPath: input.cgroupsPath,
      namespaces,
      // The pause process needs next to nothing; the pod's own limits are on its containers.
      resources: { devices: [denyAll], cpu: { shares: 2 } },
      ...(Object.keys(spec.sysctls).length === 0 ? {} : { sysctl: spec.sysctls }),
      maskedPaths,
      readonlyPaths,
    },
  };
}

export function containerOciSpec(input: ContainerSpecInput): OciSpec {
  const { spec, sandbox } = input;
  const { security } = spec;
  const joined = (type: "ipc" | "uts" | "pid") => `/proc/${input.sandboxPid}/ns/${type}`;
  const namespaces: OciNamespace[] = [
    { type: "mount" },
    network(input.netnsPath),
    { type: "ipc", path: joined("ipc") },
    { type: "uts", path: joined("uts") },
    sandbox.hostPid || sandbox.shareProcessNamespace
      ? { type: "pid", path: joined("pid") }
      : { type: "pid" },
  ];
  // containerd gives containers their own cgroup view on v2 only.
  if (input.cgroupVersion === 2 && !security.privileged) namespaces.push({ type: "cgroup" });
  const capabilities = capabilitySet({
    privileged: security.privileged,
    add: security.capabilitiesAdd,
    drop: security.capabilitiesDrop,
  });
  return {
    ociVersion,
    process: {
      ...(spec.tty ? { terminal: true } : {}),
      user: input.user,
      args: input.args,
      env: input.env,
      cwd: input.cwd,
      ...processDefaults(capabilities, input.limits),
      noNewPrivileges: !security.allowPrivilegeEscalation && !security.privileged,
      oomScoreAdj: Math.max(spec.oomScoreAdj, input.limits.minOomScoreAdj),
    },
    root: { path: "rootfs", readonly: security.readOnlyRootFilesystem },
    mounts: containerMounts(input),
    annotations: {
      [`${annotationPrefix}container-type`]: "container",
      [`${annotationPrefix}sandbox-id`]: input.sandboxId,
      [`${annotationPrefix}container-name`]: spec.name,
      [`${annotationPrefix}image-name`]: spec.image.resolved,
      ...podAnnotations(sandbox),
    },
    linux: {
      cgroupsPath: input.cgroupsPath,
      namespaces,
      resources: resources(spec.resources, security.privileged),
      ...(security.privileged ? { devices: input.hostDevices } : { maskedPaths, readonlyPaths }),
      ...seccomp(input, capabilities),
    },
  };
}

function seccomp(
  { spec, localhostSeccomp }: ContainerSpecInput,
  capabilities: readonly string[],
): { readonly seccomp?: OciSeccomp } {
  const choice = spec.security.seccomp;
  if (choice?.type === "RuntimeDefault") return { seccomp: defaultSeccomp(capabilities) };
  return localhostSeccomp === undefined ? {} : { seccomp: localhostSeccomp };
}

function network(path: string | undefined): OciNamespace {
  return { type: "network", ...(path === undefined ? {} : { path }) };
}

function processDefaults(
  capabilities: readonly string[],
  limits: HostLimits,
): Pick<OciProcess, "capabilities" | "rlimits"> {
  const files = Math.min(openFiles, limits.maxOpenFiles);
  return {
    // No inheritable set: containerd dropped it for CVE-2022-24769.
    capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    rlimits: [{ type: "RLIMIT_NOFILE", hard: files, soft: files }],
  };
}

function sandboxAnnotations(input: SandboxSpecInput): Record<string, string> {
  return {
    [`${annotationPrefix}container-type`]: "sandbox",
    [`${annotationPrefix}sandbox-id`]: input.sandboxId,
    [`${annotationPrefix}sandbox-log-directory`]: input.logDirectory,
    ...podAnnotations(input.spec),
    ...(input.guestAddress === undefined ? {} : { [addressAnnotation]: input.guestAddress }),
    ...sizingAnnotations(input.spec.resources),
    ...volumeAnnotations(input.spec),
  };
}

/** Values are decimal strings; containerd copies the sums of the pod here, without overhead. */
export function sizingAnnotations(sum: LinuxResources): Record<string, string> {
  const numbers: Array<readonly [string, number | undefined]> = [
    ["sandbox-cpu-period", sum.cpuPeriodUs],
    ["sandbox-cpu-quota", sum.cpuQuotaUs],
    ["sandbox-cpu-shares", sum.cpuShares],
    ["sandbox-memory", sum.memoryBytes],
  ];
  return Object.fromEntries(
    numbers.map(([name, value]) => [`${annotationPrefix}${name}`, String(value ?? 0)]),
  );
}

/** Ours, which any other shim ignores. */
function volumeAnnotations({ volumes }: SandboxSpec): Record<string, string> {
  if (volumes === undefined) return {};
  return {
    [sharedFoldersAnnotation]: String(volumes.sharesFolders),
    [emptyDirSizesAnnotation]: JSON.stringify(volumes.emptyDirBytes),
  };
}

function podAnnotations(spec: SandboxSpec): Record<string, string> {
  return {
    [`${annotationPrefix}sandbox-name`]: spec.podName,
    [`${annotationPrefix}sandbox-namespace`]: spec.podNamespace,
    [`${annotationPrefix}sandbox-uid`]: spec.podUid,
    ...(spec.fsGroup === undefined ? {} : { [fsGroupAnnotation]: String(spec.fsGroup) }),
  };
}

function containerMounts({ spec, files, cgroupVersion }: ContainerSpecInput): readonly OciMount[] {
  const { privileged, readOnlyRootFilesystem } = spec.security;
  const wanted: OciMount[] = spec.mounts.map((mount) => ({
    destination: mount.containerPath,
    type: "bind",
    source: mount.hostPath,
    options: ["rbind", "rprivate", mount.readOnly ? "ro" : "rw"],
  }));
  const taken = new Set(wanted.map((mount) => trimSlash(mount.destination)));
  const all = [
    ...systemMounts({ privileged, cgroup: true, cgroupVersion }),
    ...fileMounts(files, readOnlyRootFilesystem),
  ].filter((mount) => !taken.has(mount.destination));
  // Parents before children, or a mount would hide the one inside it. Stable for equal depth.
  return [...all, ...wanted].sort((a, b) => depth(a.destination) - depth(b.destination));
}

function fileMounts(files: SandboxFiles, readOnly: boolean): readonly OciMount[] {
  const mode = readOnly ? "ro" : "rw";
  const bind = (source: string, destination: string, option: string): OciMount => ({
    destination,
    type: "bind",
    source,
    options: ["rbind", "rprivate", option],
  });
  return [
    bind(files.hostname, "/etc/hostname", mode),
    bind(files.resolvConf, "/etc/resolv.conf", mode),
    // Shared memory stays writable with a read-only root, as in containerd.
    bind(files.shm, "/dev/shm", "rw"),
  ];
}

const denyAll = { allow: false, access: "rwm" };

function resources(limits: LinuxResources, privileged: boolean): OciResources {
  const cpu = {
    ...(limits.cpuShares === undefined ? {} : { shares: limits.cpuShares }),
    ...(limits.cpuQuotaUs === undefined ? {} : { quota: limits.cpuQuotaUs }),
    ...(limits.cpuPeriodUs === undefined ? {} : { period: limits.cpuPeriodUs }),
  };
  return {
    devices: [privileged ? { allow: true, access: "rwm" } : denyAll],
    ...(Object.keys(cpu).length === 0 ? {} : { cpu }),
    ...(limits.memoryBytes === undefined ? {} : { memory: { limit: limits.memoryBytes } }),
  };
}

function trimSlash(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, "") : path;
}

function depth(path: string): number {
  return path.split("/").filter((part) => part !== "").length;
}
