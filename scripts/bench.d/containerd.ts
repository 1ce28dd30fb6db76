/**
 * Pods through genuine containerd's CRI, as kubelet makes them: our handler beside
 * `io.containerd.runc.v2`, in a containerd and a network namespace made for it.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { containerdObstacle } from "../../test/support/containerd.ts";
import { cri, endPod } from "../../test/support/cri-client.ts";
import { type CriScene, startCriScene } from "../../test/support/cri-scene.ts";
import { guestFolder } from "../../test/support/guest-image.ts";
import type { Group, OpenGroup } from "./group.ts";

const rows = [
  { name: "run-pod-sandbox", unit: "ms", what: "RunPodSandbox: network, shim and, ours, a VM" },
  {
    name: "first-container",
    unit: "ms",
    what: "CreateContainer and StartContainer of an image that no container ran before",
  },
  { name: "second-container", unit: "ms", what: "the same, another container of that image" },
  { name: "exec", unit: "ms", what: "ExecSync of true in a running container" },
  { name: "stdout", unit: "MiB/s", what: "64 MiB from an exec's stdout to ctr" },
  { name: "remove-pod", unit: "ms", what: "StopPodSandbox and RemovePodSandbox" },
] as const;

type RowName = (typeof rows)[number]["name"];

const execsInAPass = 5;
const stdoutMib = 64;
const idle = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done"];

export const containerdGroup: Group = { rows, sides: ["runc", "katasim"], open };

async function open(): Promise<OpenGroup> {
  const why = containerdObstacle({ cri: true });
  if (why !== undefined) throw new Error(why);
  // A cache of its own, so that a first container is one.
  const cache = mkdtempSync("/tmp/kbench-");
  symlinkSync(guestFolder(), join(cache, "guest"));
  process.env.KATASIM_CACHE = cache;
  let scene: CriScene;
  try {
    scene = await startCriScene();
  } catch (error) {
    rmSync(cache, { recursive: true, force: true });
    throw error;
  }
  let conditions = "no VM was started";
  let count = 0;
  return {
    conditions: () => conditions,
    async pass(side, wanted) {
      const values = new Map<string, readonly number[]>();
      const note = (name: RowName, ...samples: number[]) => {
        if (wanted.has(name)) values.set(name, samples);
      };
      const name = `bench-${count++}`;
      forgetPackedRoots(cache);
      const [podMs, pod] = await timed(() => scene.pod(name, {}, side));
      note("run-pod-sandbox", podMs);
      if (side === "katasim") {
        const vm = scene.vmOf(pod.id);
        conditions = `${vm.hypervisor} ${vm.hypervisorVersion} on ${vm.accelerator}, ${vm.vcpus} vCPU, ${vm.memoryMib} MiB`;
      }
      if (rows.some((row) => needsContainer(row.name) && wanted.has(row.name))) {
        const [firstMs, main] = await timed(() => pod.run("first", idle));
        note("first-container", firstMs);
        if (wanted.has("second-container")) {
          const [secondMs] = await timed(() => pod.run("second", idle));
          note("second-container", secondMs);
        }
        if (wanted.has("exec")) note("exec", ...(await execs(scene, main)));
        if (wanted.has("stdout")) note("stdout", await stdout(scene, main));
      }
      const [removeMs] = await timed(() => endPod(scene.client, pod.id));
      note("remove-pod", removeMs);
      return values;
    },
    async close() {
      await scene.stop();
      await scene.containerd.stop();
      const left = scene.containerd.leaks();
      await scene.containerd.dispose();
      rmSync(cache, { recursive: true, force: true });
      return left;
    },
  };
}

function needsContainer(name: RowName): boolean {
  return name !== "run-pod-sandbox" && name !== "remove-pod";
}

function forgetPackedRoots(cache: string): void {
  const folder = join(cache, "rootfs");
  rmSync(folder, { recursive: true, force: true });
  if (readdirSync(cache).includes("rootfs")) throw new Error(`${folder} cannot be removed`);
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
