/** What sandboxed pods that do nothing take of this machine, started one after another. */
import type { SandboxView } from "../../cli/sandboxes.ts";
import { processorTimeMs } from "../../common/process/processor-time.ts";
import type { Group, OpenGroup, OpenOptions, Row, Samples } from "./group.ts";
import { pidsOf, startWarmNode, vmConditions } from "./nodes.ts";
import { pssMib } from "./process-figures.ts";

const counts = [1, 10, 50] as const;
const most = Math.max(...counts);
const idleSeconds = 20;
const sleep = ["/bin/sleep", "1000000"];

/** What is taken together for "the first" and "the last": one start alone says little. */
const together = 5;

export const memoryGroup: Group = {
  name: "memory",
  rows: [
    ...counts.flatMap((count) => rowsAt(count)),
    {
      name: "start-first",
      unit: "ms",
      what: `start of the first ${together} of ${most}`,
      long: true,
    },
    {
      name: "start-last",
      unit: "ms",
      what: `start of the last ${together} of ${most}`,
      peer: "start-first",
      long: true,
    },
  ],
  passes: "once",
  open,
};

function rowsAt(count: number): readonly Row[] {
  const long = count === most ? ({ long: true } as const) : {};
  const with_ =
    count === 1 ? "of one idle sandboxed pod" : `of each of ${count} idle sandboxed pods`;
  return [
    { name: `memory-${count}`, unit: "MiB", what: `PSS ${with_}, VMM and shim`, ...long },
    { name: `memory-${count}-vmm`, unit: "MiB", what: `of that, the VMM's`, ...long },
    { name: `memory-${count}-shim`, unit: "MiB", what: `of that, the shim's`, ...long },
    {
      name: `idle-cpu-${count}`,
      unit: "%",
      what: `CPU of all of them in each of ${idleSeconds} seconds, in percent of one core`,
      ...long,
    },
  ];
}

async function open({ wanted, signal }: OpenOptions): Promise<OpenGroup> {
  const node = await startWarmNode({ signal });
  let conditions = "no VM was started";
  const pass = async () => {
    const samples = new Map<string, readonly number[]>();
    const startsMs: number[] = [];
    const stops = counts.filter((count) => isWantedAt(count, wanted));
    for (const count of stops) {
      while (startsMs.length < count) {
        startsMs.push(await node.startPod(`idle-${startsMs.length}`, "sandboxed", sleep));
      }
      const sandboxes = await node.sandboxes();
      for (const [name, values] of await measureIdle(count, sandboxes, signal)) {
        samples.set(name, values);
      }
      conditions = vmConditions(await node.sandboxOf("idle-0"));
    }
    if (startsMs.length === most) {
      samples.set("start-first", startsMs.slice(0, together));
      samples.set("start-last", startsMs.slice(-together));
    }
    return samples;
  };
  return {
    sides: [{ name: "idle pods", rows: memoryGroup.rows.map(({ name }) => name), pass }],
    missing: new Map(),
    conditions: () => [conditions],
    close: node.close,
  };
}

function isWantedAt(count: number, wanted: ReadonlySet<string>): boolean {
  const names = rowsAt(count).map(({ name }) => name);
  return [...names, ...(count === most ? ["start-first", "start-last"] : [])].some((name) =>
    wanted.has(name),
  );
}

async function measureIdle(
  count: number,
  sandboxes: readonly SandboxView[],
  signal: AbortSignal,
): Promise<Samples> {
  if (sandboxes.length !== count) throw new Error(`${sandboxes.length} of ${count} sandboxes run`);
  const cpu = await cpuPercents(sandboxes.flatMap(pidsOf), signal);
  const shims = sandboxes.map(({ shimPid }) => pssOf(shimPid));
  const vmms = sandboxes.map(({ vm }) => pssOf(vm?.vmmPid));
  return new Map([
    [`memory-${count}`, vmms.map((vmm, index) => vmm + (shims[index] ?? 0))],
    [`memory-${count}-vmm`, vmms],
    [`memory-${count}-shim`, shims],
    [`idle-cpu-${count}`, cpu],
  ]);
}

function pssOf(pid: number | undefined): number {
  if (pid === undefined) throw new Error("a sandbox lacks its shim or its VMM");
  return pssMib(pid);
}

/** One for each second that they were watched. */
async function cpuPercents(pids: readonly number[], signal: AbortSignal): Promise<number[]> {
  const read = () => ({
    atMs: performance.now(),
    usedMs: pids.reduce((sum, pid) => sum + processorTimeMs(pid), 0),
  });
  const percents: number[] = [];
  let before = read();
  while (percents.length < idleSeconds) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    signal.throwIfAborted();
    const now = read();
    percents.push((100 * (now.usedMs - before.usedMs)) / (now.atMs - before.atMs));
    before = now;
  }
  return percents;
}
