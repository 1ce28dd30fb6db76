/**
 * From the POST of a pod to Running seen on a watch, and back: the ways katasim has, beside what
 * Docker Engine needs for a container of the same image. Three nodes, for each has one way alone.
 */
import { type Engine, type EngineRuntime, startEngine } from "./engine.ts";
import type { Group, OpenGroup, OpenOptions, Row, Side } from "./group.ts";
import { type Node, type NodeOptions, type PodKind, startNode, vmConditions } from "./nodes.ts";

const startRows: readonly Row[] = [
  { name: "docker", unit: "ms", what: "create and start of a container over the Engine API" },
  {
    name: "runsc",
    unit: "ms",
    what: "the same, the engine's runtime being gVisor (ptrace, without a network)",
    peer: "docker",
  },
  { name: "trusted", unit: "ms", what: "a pod without a RuntimeClass", peer: "docker" },
  {
    name: "sandboxed-cold",
    unit: "ms",
    what: "a sandboxed pod whose VM boots (up --templates off --warm-pool 0)",
    peer: "docker",
  },
  {
    name: "sandboxed-warm",
    unit: "ms",
    what: "a sandboxed pod whose VM is made from a template (up --warm-pool 0)",
    peer: "docker",
  },
  {
    name: "sandboxed-pooled",
    unit: "ms",
    what: "a sandboxed pod that gets a spare VM (up --warm-pool 2)",
    peer: "docker",
  },
];

const deleteRows: readonly Row[] = [
  { name: "delete-docker", unit: "ms", what: "forced removal of the container" },
  { name: "delete-trusted", unit: "ms", what: "DELETE without grace to DELETED on the watch" },
  { name: "delete-sandboxed", unit: "ms", what: "the same of a sandboxed pod" },
  {
    name: "gone-trusted",
    unit: "ms",
    what: "DELETE without grace to the end of its shim",
    peer: "delete-docker",
  },
  {
    name: "gone-sandboxed",
    unit: "ms",
    what: "DELETE without grace to the end of its shim and VMM",
    peer: "delete-docker",
  },
];

/** Which node each kind of pod is started on; the rows of deletion are measured where it says so. */
interface PodSide {
  readonly name: string;
  readonly kind: PodKind;
  readonly node: "cold" | "warm" | "pooled";
  readonly deletes?: PodKind;
}

const podSides: readonly PodSide[] = [
  { name: "trusted", kind: "trusted", node: "warm", deletes: "trusted" },
  { name: "sandboxed-cold", kind: "sandboxed", node: "cold" },
  { name: "sandboxed-warm", kind: "sandboxed", node: "warm", deletes: "sandboxed" },
  { name: "sandboxed-pooled", kind: "sandboxed", node: "pooled" },
];

const nodeOptions: Readonly<Record<PodSide["node"], Omit<NodeOptions, "signal">>> = {
  cold: { templates: false },
  warm: {},
  pooled: { warmPool: 2 },
};

export const podStartsGroup: Group = {
  name: "pod-starts",
  rows: [...startRows, ...deleteRows],
  // The least from which a 95th percentile says something.
  passes: 20,
  open,
};

async function open({ wanted, signal }: OpenOptions): Promise<OpenGroup> {
  const closers: Array<() => Promise<readonly string[]>> = [];
  const close = async () => {
    const left: string[] = [];
    for (const closer of closers.reverse()) left.push(...(await closer()));
    return left;
  };
  const missing = new Map<string, unknown>();
  const sides: Side[] = [];
  const facts: Array<() => string> = [];
  /** What one side lacks must not cost the others' figures. */
  const add = async (rows: readonly string[], make: () => Promise<Side>) => {
    if (!rows.some((row) => wanted.has(row))) return;
    try {
      sides.push(await make());
    } catch (error) {
      if (signal.aborted) throw error;
      for (const row of rows) missing.set(row, error);
    }
  };

  const engine = lazily(async () => {
    const started = await startEngine();
    closers.push(started.close);
    facts.push(() => started.conditions);
    return started;
  });
  const nodes = new Map<string, () => Promise<Node>>(
    Object.entries(nodeOptions).map(([name, options]) => [
      name,
      lazily(async () => {
        const node = await startNode({ ...options, signal });
        closers.push(node.close);
        return node;
      }),
    ]),
  );

  try {
    await add(["docker", "delete-docker"], () => engineSide("docker", "default", engine));
    await add(["runsc"], () => engineSide("runsc", "runsc", engine));
    for (const side of podSides) {
      const node = nodes.get(side.node) ?? (() => Promise.reject(new Error("no such node")));
      await add(rowsOfPodSide(side), () => podSide(side, node, facts));
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { sides, missing, conditions: () => facts.map((fact) => fact()), close };
}

function lazily<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

async function engineSide(
  name: string,
  runtime: EngineRuntime,
  getEngine: () => Promise<Engine>,
): Promise<Side> {
  const engine = await getEngine();
  const pass = async () => {
    const { id, ms } = await engine.start(runtime);
    const removeMs = await engine.remove(id);
    return new Map([
      [name, [ms]],
      [`delete-${name}`, [removeMs]],
    ]);
  };
  await pass();
  return { name, rows: [name, `delete-${name}`], pass };
}

function rowsOfPodSide({ name, deletes }: PodSide): readonly string[] {
  return deletes === undefined ? [name] : [name, `delete-${deletes}`, `gone-${deletes}`];
}

async function podSide(
  side: PodSide,
  getNode: () => Promise<Node>,
  facts: Array<() => string>,
): Promise<Side> {
  const { name, kind, deletes } = side;
  const node = await getNode();
  await node.warmUp(kind);
  /** How often which kind of start was seen: a template that is not used must show. */
  const seen = new Map<string, number>();
  if (kind === "sandboxed") {
    const times = () => [...seen].map(([what, count]) => `${count} x ${what}`).join("; ");
    facts.push(() => `${name}: ${times() || "no VM was started"}`);
  }
  let count = 0;
  const pass = async () => {
    const pod = `${name}-${count++}`;
    const startMs = await node.startPod(pod, kind);
    const conditions = vmConditions(await node.sandboxOf(pod));
    seen.set(conditions, (seen.get(conditions) ?? 0) + 1);
    const { deletedMs, goneMs } = await node.endPod(pod);
    // What it leaves to do must not slow the next side down.
    await node.settled();
    const samples = new Map([[name, [startMs]]]);
    if (deletes === undefined) return samples;
    return samples.set(`delete-${deletes}`, [deletedMs]).set(`gone-${deletes}`, [goneMs]);
  };
  return { name, rows: rowsOfPodSide(side), pass };
}
