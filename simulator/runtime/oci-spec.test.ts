import { describe, expect, it } from "vitest";
import type { ContainerSpec, SandboxSpec, SecurityContext } from "../runtime-port.ts";
import { noLimits } from "./host-limits.ts";
import { type ContainerSpecInput, containerOciSpec, sandboxOciSpec } from "./oci-spec.ts";

const files = { hostname: "/s/hostname", resolvConf: "/s/resolv.conf", shm: "/s/shm" };
const sandbox: SandboxSpec = {
  podName: "p",
  podNamespace: "ns",
  podUid: "uid",
  attempt: 0,
  hostname: "host",
  labels: {},
  annotations: {},
  resources: {},
  hostNetwork: false,
  hostPid: false,
  hostIpc: false,
  shareProcessNamespace: false,
  dns: { servers: [], searches: [], options: [] },
  sysctls: {},
};
const security: SecurityContext = {
  supplementalGroups: [],
  readOnlyRootFilesystem: false,
  privileged: false,
  allowPrivilegeEscalation: true,
  capabilitiesAdd: [],
  capabilitiesDrop: [],
};
const spec: ContainerSpec = {
  name: "c",
  attempt: 0,
  image: { requested: "i", resolved: "docker.io/library/i:latest", id: "sha256:0", sizeBytes: 1 },
  env: [],
  mounts: [],
  resources: {},
  oomScoreAdj: 1000,
  security,
  tty: false,
  stdin: false,
  stdinOnce: false,
  logPath: "/log",
};

function build(change: Partial<ContainerSpec> = {}, input: Partial<ContainerSpecInput> = {}) {
  return containerOciSpec({
    sandboxId: "sid",
    sandbox,
    sandboxPid: 42,
    netnsPath: "/run/netns/x",
    spec: { ...spec, ...change },
    args: ["/bin/true"],
    env: ["A=b"],
    cwd: "/",
    user: { uid: 0, gid: 0 },
    cgroupsPath: "/node/pod/c",
    cgroupVersion: 1,
    files,
    hostDevices: [],
    limits: noLimits,
    ...input,
  });
}

const buildSandbox = (change: Partial<SandboxSpec> = {}) =>
  sandboxOciSpec({
    sandboxId: "sid",
    spec: { ...sandbox, ...change },
    cgroupsPath: "/node/pod/sid",
    netnsPath: "/run/netns/x",
    guestAddress: undefined,
    logDirectory: "/logs",
    files,
    limits: noLimits,
  });

describe("containerOciSpec", () => {
  it("joins the sandbox's network, IPC and UTS namespaces and has its own pid namespace", () => {
    expect(build().linux.namespaces).toEqual(
      expect.arrayContaining([
        { type: "network", path: "/run/netns/x" },
        { type: "ipc", path: "/proc/42/ns/ipc" },
        { type: "uts", path: "/proc/42/ns/uts" },
        { type: "pid" },
        { type: "mount" },
      ]),
    );
    expect(build().hostname).toBeUndefined();
  });

  it("joins the sandbox's pid namespace when the pod shares it", () => {
    const shared = build({}, { sandbox: { ...sandbox, shareProcessNamespace: true } });
    expect(shared.linux.namespaces).toContainEqual({ type: "pid", path: "/proc/42/ns/pid" });
  });

  it("gives a cgroup namespace on cgroup v2 only", () => {
    const types = (version: 1 | 2) =>
      build({}, { cgroupVersion: version }).linux.namespaces.map(({ type }) => type);
    expect(types(1)).not.toContain("cgroup");
    expect(types(2)).toContain("cgroup");
  });

  it("names the sandbox, the container and the image in the annotations", () => {
    expect(build().annotations).toEqual({
      "io.kubernetes.cri.container-type": "container",
      "io.kubernetes.cri.sandbox-id": "sid",
      "io.kubernetes.cri.container-name": "c",
      "io.kubernetes.cri.image-name": "docker.io/library/i:latest",
      "io.kubernetes.cri.sandbox-name": "p",
      "io.kubernetes.cri.sandbox-namespace": "ns",
      "io.kubernetes.cri.sandbox-uid": "uid",
    });
  });

  it("sets only the limits that are there", () => {
    expect(build().linux.resources).toEqual({ devices: [{ allow: false, access: "rwm" }] });
    const limited = build({
      resources: { cpuQuotaUs: 50_000, cpuPeriodUs: 100_000, cpuShares: 512, memoryBytes: 1024 },
    });
    expect(limited.linux.resources).toMatchObject({
      cpu: { quota: 50_000, period: 100_000, shares: 512 },
      memory: { limit: 1024 },
    });
  });

  it("mounts parents before children and lets the pod's mounts replace its own", () => {
    const mount = (containerPath: string) => ({ hostPath: "/h", containerPath, readOnly: true });
    const { mounts } = build({
      mounts: [mount("/a/b"), mount("/a"), mount("/etc/hostname"), mount("/dev/shm/")],
    });
    const places = mounts.map(({ destination }) => destination);
    expect(places.indexOf("/a")).toBeLessThan(places.indexOf("/a/b"));
    expect(places.indexOf("/dev")).toBeLessThan(places.indexOf("/dev/shm/"));
    expect(mounts.filter(({ destination }) => destination === "/etc/hostname")).toEqual([
      {
        destination: "/etc/hostname",
        type: "bind",
        source: "/h",
        options: ["rbind", "rprivate", "ro"],
      },
    ]);
    expect(places).not.toContain("/dev/shm");
  });

  it("opens /sys, devices and hidden paths to privileged containers only", () => {
    const device = {
      path: "/dev/x",
      type: "c" as const,
      major: 1,
      minor: 2,
      fileMode: 0o600,
      uid: 0,
      gid: 0,
    };
    const open = build({ security: { ...security, privileged: true } }, { hostDevices: [device] });
    expect(open.linux.maskedPaths).toBeUndefined();
    expect(open.linux.devices).toEqual([device]);
    expect(open.linux.resources.devices).toEqual([{ allow: true, access: "rwm" }]);
    expect(open.mounts.find(({ type }) => type === "sysfs")?.options).toContain("rw");
    expect(open.process.noNewPrivileges).toBe(false);
    const closed = build();
    expect(closed.linux.maskedPaths).toContain("/proc/kcore");
    expect(closed.mounts.find(({ type }) => type === "sysfs")?.options).toContain("ro");
  });

  it("forbids new privileges where escalation is not allowed", () => {
    const strict = build({ security: { ...security, allowPrivilegeEscalation: false } });
    expect(strict.process.noNewPrivileges).toBe(true);
    expect(build().process.noNewPrivileges).toBe(false);
  });

  it("keeps shared memory writable with a read-only root", () => {
    const { root, mounts } = build({ security: { ...security, readOnlyRootFilesystem: true } });
    expect(root.readonly).toBe(true);
    const options = (place: string) =>
      mounts.find(({ destination }) => destination === place)?.options;
    expect(options("/dev/shm")).toContain("rw");
    expect(options("/etc/resolv.conf")).toContain("ro");
  });

  it("stays within what this process may give", () => {
    const { process } = build(
      { oomScoreAdj: -997 },
      { limits: { minOomScoreAdj: 0, maxOpenFiles: 4096 } },
    );
    expect(process.oomScoreAdj).toBe(0);
    expect(process.rlimits).toEqual([{ type: "RLIMIT_NOFILE", hard: 4096, soft: 4096 }]);
  });
});

describe("sandboxOciSpec", () => {
  it("carries the pod's sums for the sizing of a VM", () => {
    const resources = {
      cpuQuotaUs: 150_000,
      cpuPeriodUs: 100_000,
      cpuShares: 1536,
      memoryBytes: 268_435_456,
    };
    expect(buildSandbox({ resources }).annotations).toMatchObject({
      "io.kubernetes.cri.container-type": "sandbox",
      "io.kubernetes.cri.sandbox-cpu-quota": "150000",
      "io.kubernetes.cri.sandbox-cpu-period": "100000",
      "io.kubernetes.cri.sandbox-cpu-shares": "1536",
      "io.kubernetes.cri.sandbox-memory": "268435456",
    });
    expect(buildSandbox().annotations["io.kubernetes.cri.sandbox-memory"]).toBe("0");
  });

  it("leaves out the namespaces that the pod shares with the node", () => {
    const types = (change: Partial<SandboxSpec>) =>
      buildSandbox(change).linux.namespaces.map(({ type }) => type);
    expect(types({})).toEqual(expect.arrayContaining(["pid", "ipc", "uts", "mount", "network"]));
    expect(types({ hostPid: true })).not.toContain("pid");
    expect(types({ hostIpc: true })).not.toContain("ipc");
    expect(types({ hostNetwork: true })).not.toContain("uts");
    expect(buildSandbox({ hostNetwork: true }).hostname).toBeUndefined();
  });

  it("sets the pod's sysctls", () => {
    const sysctls = { "net.ipv4.ip_unprivileged_port_start": "0" };
    expect(buildSandbox({ sysctls }).linux.sysctl).toEqual(sysctls);
    expect(buildSandbox().linux.sysctl).toBeUndefined();
  });
});
