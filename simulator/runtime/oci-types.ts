/** The part of the OCI runtime spec (opencontainers/runtime-spec config.md) that this node writes. */

export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export interface OciUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids?: readonly number[];
}

export interface OciProcess {
  readonly terminal?: boolean;
  readonly user: OciUser;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities: Readonly<
    Record<"bounding" | "effective" | "permitted", readonly string[]>
  >;
  readonly rlimits: ReadonlyArray<{
    readonly type: string;
    readonly hard: number;
    readonly soft: number;
  }>;
  readonly noNewPrivileges: boolean;
  readonly oomScoreAdj?: number;
}

export interface OciNamespace {
  readonly type: "pid" | "ipc" | "uts" | "mount" | "network" | "cgroup";
  readonly path?: string;
}

export interface OciDevice {
  readonly path: string;
  readonly type: "b" | "c";
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface OciResources {
  readonly devices: ReadonlyArray<{ readonly allow: boolean; readonly access: string }>;
  readonly memory?: { readonly limit: number };
  readonly cpu?: { readonly shares?: number; readonly quota?: number; readonly period?: number };
}

export interface OciSeccompRule {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?: ReadonlyArray<{
    readonly index: number;
    readonly value: number;
    readonly valueTwo?: number;
    readonly op: string;
  }>;
}

export interface OciSeccomp {
  readonly defaultAction: string;
  readonly architectures?: readonly string[];
  readonly syscalls?: readonly OciSeccompRule[];
}

export interface OciSpec {
  readonly ociVersion: string;
  readonly process: OciProcess;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname?: string;
  readonly mounts: readonly OciMount[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly linux: {
    readonly cgroupsPath: string;
    readonly namespaces: readonly OciNamespace[];
    readonly resources: OciResources;
    readonly sysctl?: Readonly<Record<string, string>>;
    readonly devices?: readonly OciDevice[];
    readonly maskedPaths?: readonly string[];
    readonly readonlyPaths?: readonly string[];
    readonly seccomp?: OciSeccomp;
  };
}

/** Type of `ExecProcessRequest.spec`; its value is a JSON OciProcess. */
export const processTypeUrl = "types.containerd.io/opencontainers/runtime-spec/1/Process";
