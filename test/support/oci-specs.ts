/** OCI runtime specs as containerd's CRI plugin writes them, for tests that drive the shim itself. */

export function sandboxSpec(
  id: string,
  options: {
    readonly netnsPath?: string;
    readonly memoryBytes?: number;
    readonly cpuQuotaUs?: number;
    readonly cgroupsPath?: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly sysctl?: Readonly<Record<string, string>>;
    readonly mounts?: readonly object[];
  } = {},
): object {
  const { netnsPath, memoryBytes, cpuQuotaUs, cgroupsPath, sysctl, mounts } = options;
  return {
    ociVersion: "1.0.2",
    hostname: id,
    ...(mounts === undefined ? {} : { mounts }),
    annotations: {
      ...options.annotations,
      "io.kubernetes.cri.container-type": "sandbox",
      "io.kubernetes.cri.sandbox-id": id,
      ...(memoryBytes === undefined
        ? {}
        : { "io.kubernetes.cri.sandbox-memory": String(memoryBytes) }),
      ...(cpuQuotaUs === undefined
        ? {}
        : {
            "io.kubernetes.cri.sandbox-cpu-quota": String(cpuQuotaUs),
            "io.kubernetes.cri.sandbox-cpu-period": "100000",
          }),
    },
    linux: {
      ...(cgroupsPath === undefined ? {} : { cgroupsPath }),
      ...(sysctl === undefined ? {} : { sysctl }),
      namespaces: netnsPath === undefined ? [] : [{ type: "network", path: netnsPath }],
    },
  };
}

const capabilities = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

export function containerSpec(
  sandboxId: string,
  args: readonly string[],
  extra: { readonly mounts?: readonly object[]; readonly seccomp?: object } = {},
): object {
  return {
    ociVersion: "1.0.2",
    process: {
      args,
      env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      cwd: "/",
      user: { uid: 0, gid: 0 },
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: true,
    },
    root: { path: "rootfs" },
    annotations: {
      "io.kubernetes.cri.container-type": "container",
      "io.kubernetes.cri.sandbox-id": sandboxId,
    },
    mounts: [...systemMounts, ...(extra.mounts ?? [])],
    linux: {
      namespaces: [{ type: "pid" }, { type: "mount" }, { type: "ipc", path: "/proc/1/ns/ipc" }],
      maskedPaths: ["/proc/kcore"],
      readonlyPaths: ["/proc/sys"],
      ...(extra.seccomp === undefined ? {} : { seccomp: extra.seccomp }),
      resources: { memory: { limit: 256 << 20 }, devices: [{ allow: false, access: "rwm" }] },
    },
  };
}

const systemMounts = [
  { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
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
  { destination: "/dev/shm", type: "bind", source: "/run/nowhere/shm", options: ["rbind", "ro"] },
  {
    destination: "/sys",
    type: "sysfs",
    source: "sysfs",
    options: ["nosuid", "noexec", "nodev", "ro"],
  },
];
