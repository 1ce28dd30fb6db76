/**
 * Pods through genuine containerd's CRI, as kubelet makes them: our handler beside
 * `io.containerd.runc.v2`, in a containerd and a network namespace made for it.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { containerdObstacle } from "../../test/support/containerd.ts";
import { cri, endPod } from "../../test/support/cri-client.ts";
import { type CriScene, startCriScene } from "../../test/support/cri-scene.ts";
import { guestFolder } from "../../test/support/guest-image.ts";
import {
  type Group,
  NotHere,
  type OpenGroup,
  type OpenOptions,
  type Row,
  type Samples,
  twinRows,
} from "./group.ts";

const base = [
  { name: "run-pod-sandbox", unit: "ms", what: "RunPodSandbox: network, shim and, ours, a VM" },
  {
    name: "first-container",
    unit: "ms",
    what: "CreateContainer and StartContainer of an image that no container ran before",
  },
  { name: "second-container", unit: "ms", what: "the same, another container of that image" },
  { name: "exec-sync", unit: "ms", what: "ExecSync of true in a running container" },
  { name: "exec-stdout", unit: "MiB/s", what: "64 MiB from an exec's stdout to ctr" },
  { name: "remove-pod", unit: "ms", what: "StopPodSandbox and RemovePodSandbox" },
] as const satisfies readonly Row[];

type BaseName = (typeof base)[number]["name"];

const sides = ["runc", "katasim"] as const;

const execsInAPass = 5;
const stdoutMib = 64;
const idle = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done"];

export const containerdGroup: Group = {
  name: "containerd",
  rows: twinRows(base, sides),
  passes: 5,
  open,
};

async function open({ wanted }: OpenOptions): Promise<OpenGroup> {
  const why = containerdObstacle({ cri: true });
  if (why !== undefined) throw new NotHere(why);
  const cache = lendCache();
  let scene: CriScene;
  try {
    scene = await startCriScene();
  } catch (error) {
    cache.remove();
    throw error;
  }
  let conditions = "no VM was started";
  let count = 0;

  async function pass(side: string): Promise<Samples> {
    const values = new Map<string, readonly number[]>();
    const isWanted = (name: BaseName) => wanted.has(`${name}-${side}`);
    const note = (name: BaseName, ...samples: number[]) => values.set(`${name}-${side}`, samples);
    cache.forgetPackedRoots();
    const [podMs, pod] = await timed(() => scene.pod(`bench-${count++}`, {}, side));
    note("run-pod-sandbox", podMs);
    if (side === "katasim") {
      const vm = scene.vmOf(pod.id);
      conditions = `${vm.hypervisor} ${vm.hypervisorVersion} on ${vm.accelerator}, ${vm.vcpus} vCPU, ${vm.memoryMib} MiB`;
    }
    if (base.some(({ name }) => needsContainer(name) && isWanted(name))) {
      const [firstMs, main] = await timed(() => pod.run("first", idle));
      note("first-container", firstMs);
      if (isWanted("second-container")) {
        const [secondMs] = await timed(() => pod.run("second", idle));
        note("second-container", secondMs);
      }
      if (isWanted("exec-sync")) note("exec-sync", ...(await execs(scene, main)));
      if (isWanted("exec-stdout")) note("exec-stdout", await stdout(scene, main));
    }
    const [removeMs] = await timed(() => endPod(scene.client, pod.id));
    note("remove-pod", removeMs);
    return values;
  }

  return {
    sides: sides.map((side) => ({
      name: side,
      rows: base.map(({ name }) => `${name}-${side}`),
      pass: () => pass(side),
    })),
    missing: new Map(),
    conditions: () => [conditions],
    async close() {
      await scene.stop();
      await scene.containerd.stop();
      const left = scene.containerd.leaks();
      await scene.containerd.dispose();
      cache.remove();
      return left;
    },
  };
}

/** A cache for the shims that containerd starts, with no image in it: so that a first container is one. */
function lendCache() {
  const before = process.env.KATASIM_CACHE;
  const folder = mkdtempSync("/tmp/kbench-");
  symlinkSync(guestFolder(), join(folder, "guest"));
  process.env.KATASIM_CACHE = folder;
  return {
    forgetPackedRoots: () => rmSync(join(folder, "rootfs"), { recursive: true, force: true }),
    remove() {
      if (before === undefined) delete process.env.KATASIM_CACHE;
      else process.env.KATASIM_CACHE = before;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function needsContainer(name: BaseName): boolean {
  return name !== "run-pod-sandbox" && name !== "remove-pod";
}

async function execs(scene: CriScene, container: string): Promise<number[]> {
  const samples: number[] = [];
  for (let index = 0; index < execsInAPass; index += 1) {
    const [ms] = await timed(() => scene.client.call(cri.execSync, request(container)));
    samples.push(ms);
  }
  return samples;
}

const request = (containerId: string) => ({ containerId, cmd: ["true"], timeout: 60n });

/** ctr copies to a descriptor, so that neither a log's format nor this program's speed is measured. */
async function stdout(scene: CriScene, container: string): Promise<number> {
  const command = ["dd", "if=/dev/zero", "bs=64k", `count=${stdoutMib * 16}`, "status=none"];
  const words = ["-n", "k8s.io", "task", "exec", "--exec-id", "bench", container, ...command];
  const started = performance.now();
  const got = execFileSync(
    "sh",
    ["-c", '"$@" | wc -c', "sh", "ctr", "-a", scene.containerd.socket, ...words],
    { encoding: "utf8", timeout: 120_000 },
  );
  const seconds = (performance.now() - started) / 1000;
  if (Number(got) !== stdoutMib * 2 ** 20) throw new Error(`${got.trim()} bytes came of stdout`);
  return stdoutMib / seconds;
}

async function timed<T>(work: () => Promise<T>): Promise<[number, T]> {
  const started = performance.now();
  const result = await work();
  return [performance.now() - started, result];
}
