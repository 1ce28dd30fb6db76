/** containerd with our handler `katasim` beside `runc`, a CRI client, and what pods of tests need. */
import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readVmRecord } from "../../runtime-shim/service/bundle-files.ts";
import type { VmRecord } from "../../runtime-shim/shim-options.ts";
import { type Containerd, startContainerd } from "./containerd.ts";
import {
  type CriClient,
  type CriPod,
  cgroupParent,
  connectCri,
  cri,
  endPod,
  runPod,
  type SandboxConfig,
} from "./cri-client.ts";
import { createStreams, type Streams } from "./cri-streams.ts";

const shim =
  process.env.KATASIM_TEST_SHIM ??
  join(import.meta.dirname, "../../bin/containerd-shim-katasim-v2");

/** 1.6 knows `runtime_path` and does not use it for sandboxes; a type that is a path works everywhere. */
const handlerConfig = (optionsFile: string) => `
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.katasim]
  runtime_type = "${shim}"
  privileged_without_host_devices = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.katasim.options]
    ConfigPath = "${optionsFile}"
`;

export interface CriScene {
  readonly containerd: Containerd;
  /** Where the shims' sockets are. */
  readonly socketFolder: string;
  readonly client: CriClient;
  readonly streams: Streams;
  pod(name: string, more?: SandboxConfig, handler?: string): Promise<CriPod>;
  exec(containerId: string, cmd: readonly string[], timeout?: number): Promise<ExecAnswer>;
  vmOf(podId: string): VmRecord;
  shimPidOf(podId: string): number;
  /** Where logs of a pod's containers go. */
  logFolder(pod: string): string;
  stop(): Promise<void>;
}

export interface ExecAnswer {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function startCriScene(): Promise<CriScene> {
  const own = mkdtempSync("/tmp/kcri-");
  const socketFolder = join(own, "s");
  const optionsFile = join(own, "shim.json");
  writeFileSync(optionsFile, JSON.stringify({ socketDir: socketFolder }));
  const containerd = await startContainerd({ cri: true, config: handlerConfig(optionsFile) });
  await containerd.importBaseImage("k8s.io");
  const client = connectCri(containerd.socket);
  const streams = createStreams(containerd.folder, containerd.netns ?? "");
  const vmOf = (podId: string) => {
    const record = readVmRecord(containerd.bundleOf(podId, "k8s.io"));
    if (record === undefined) throw new Error(`pod ${podId} has no vm.json`);
    return record;
  };
  const logFolder = (pod: string) => {
    const folder = join(containerd.folder, "logs", pod);
    mkdirSync(folder, { recursive: true });
    return folder;
  };
  return {
    containerd,
    socketFolder,
    client,
    streams,
    pod: (name, more = {}, handler = "katasim") =>
      runPod(client, { name, handler, logFolder: logFolder(name), more }),
    async exec(containerId, cmd, timeout = 60) {
      const answer = await client.call(cri.execSync, {
        containerId,
        cmd: [...cmd],
        timeout: BigInt(timeout),
      });
      const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("utf8");
      return { ...answer, stdout: text(answer.stdout), stderr: text(answer.stderr) };
    },
    vmOf,
    shimPidOf: (podId) => vmOf(podId).shimPid,
    logFolder,
    async stop() {
      const { items } = await client.call(cri.listPodSandbox, {});
      for (const { id } of items) await endPod(client, id);
      client.close();
      streams.close();
      removeCgroups();
      rmSync(own, { recursive: true, force: true });
    },
  };
}

/** kubelet makes a pod's cgroup and removes it; runc leaves the parent it was told behind. */
function removeCgroups(): void {
  for (const controller of readdirSync("/sys/fs/cgroup")) {
    try {
      rmdirSync(join("/sys/fs/cgroup", controller, cgroupParent));
    } catch {}
  }
}
