/** Sandboxed pods come and go, two hundred times: what stays of them on the machine and in the daemon. */
import { messageOf } from "../../common/errors.ts";
import type { Group, OpenGroup, OpenOptions } from "./group.ts";
import { type Node, startNode, vmConditions } from "./nodes.ts";
import { openFiles, residentMib } from "./process-figures.ts";

const cycles = 200;
/** Until then caches fill and code is compiled; what grows after it grows for ever. */
const settledAfter = 20;

const rows = [
  {
    name: "cycles",
    unit: "ms",
    what: `each of ${cycles} cycles: create, running, delete, all gone`,
    long: true,
  },
  { name: "cycles-failures", unit: "count", what: "cycles that failed", long: true },
  {
    name: "growth-memory",
    unit: "MiB",
    what: `resident memory of the daemon, from cycle ${settledAfter} to the last`,
    long: true,
  },
  { name: "growth-files", unit: "count", what: "open files of the daemon", long: true },
  { name: "growth-processes", unit: "count", what: "processes of the node", long: true },
  { name: "growth-mounts", unit: "count", what: "mounts of the node", long: true },
  { name: "growth-netns", unit: "count", what: "network namespaces of the node", long: true },
] as const;

export const cyclesGroup: Group = { name: "cycles", rows, passes: "once", open };

async function open({ signal }: OpenOptions): Promise<OpenGroup> {
  const node = await startNode({ signal });
  const conditions: string[] = [];
  const pass = async () => {
    const cyclesMs: number[] = [];
    const failures: string[] = [];
    let early: Traces | undefined;
    for (let index = 0; index < cycles; index += 1) {
      try {
        const startedMs = performance.now();
        await node.startPod(`cycle-${index}`, "sandboxed");
        if (index === 0) conditions.push(vmConditions(await node.sandboxOf("cycle-0")));
        await node.endPod(`cycle-${index}`);
        cyclesMs.push(performance.now() - startedMs);
        await node.settled();
      } catch (error) {
        signal.throwIfAborted();
        failures.push(`cycle ${index}: ${messageOf(error)}`);
      }
      if (index + 1 === settledAfter) early = tracesOf(node);
    }
    const late = tracesOf(node);
    const grown = Object.entries(late).map(([what, value]) => {
      const before = early?.[what as keyof Traces] ?? Number.NaN;
      conditions.push(
        `${what}: ${before.toFixed(0)} after ${settledAfter}, ${value.toFixed(0)} after ${cycles}`,
      );
      return [`growth-${what}`, [value - before]] as const;
    });
    conditions.push(...failures);
    return new Map<string, readonly number[]>([
      ["cycles", cyclesMs],
      ["cycles-failures", [failures.length]],
      ...grown,
    ]);
  };
  return {
    sides: [{ name: `${cycles} cycles`, rows: rows.map(({ name }) => name), pass }],
    missing: new Map(),
    conditions: () => conditions,
    close: node.close,
  };
}

interface Traces {
  readonly memory: number;
  readonly files: number;
  readonly processes: number;
  readonly mounts: number;
  readonly netns: number;
}

function tracesOf({ daemonPid, simulator }: Node): Traces {
  // What the node would leave behind, if it ended now, is what it has.
  const lines = simulator.leaks();
  const count = (what: string) => lines.filter((line) => line.startsWith(`${what} `)).length;
  return {
    memory: residentMib(daemonPid),
    files: openFiles(daemonPid),
    processes: count("process"),
    mounts: count("mount"),
    netns: count("network namespace"),
  };
}
