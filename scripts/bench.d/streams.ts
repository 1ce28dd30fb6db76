/** What goes through the API to and from a running pod: exec, logs, and copies as `kubectl cp` makes them. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { waitUntil } from "../../test/support/wait-until.ts";
import { exec } from "./exec.ts";
import { type Group, type OpenGroup, type OpenOptions, type Samples, twinRows } from "./group.ts";
import { type Node, type PodKind, startNode, vmConditions } from "./nodes.ts";

const base = [
  { name: "exec", unit: "ms", what: "exec of true: from the connection's first byte to its end" },
  { name: "logs", unit: "MiB/s", what: "the whole log of a pod that has written 32 MiB" },
  { name: "cp-from", unit: "MiB/s", what: "a file of 32 MiB out of the pod, by tar over exec" },
  { name: "cp-to", unit: "MiB/s", what: "a file of 32 MiB into the pod, by tar over exec" },
] as const;

const kinds = ["trusted", "sandboxed"] as const satisfies readonly PodKind[];

export const streamsGroup: Group = {
  name: "streams",
  rows: twinRows(base, kinds),
  passes: 5,
  open,
};

const execsInAPass = 10;
const mib = 32;
const bytes = mib * 2 ** 20;
const line = "0123456789abcdef".repeat(4).slice(1);

/** Writes its log, then idles; what it has written is what is read. */
const writer = [
  "/bin/sh",
  "-c",
  `yes ${line} | head -c ${bytes}; dd if=/dev/urandom of=/tmp/big bs=1M count=${mib}; exec sleep 1000000`,
];

async function open({ wanted, signal }: OpenOptions): Promise<OpenGroup> {
  const node = await startNode({ signal });
  try {
    const archive = archiveOfRandomBytes();
    for (const kind of kinds) {
      await node.startPod(kind, kind, writer);
      await logWritten(node, kind, signal);
      await exec(node.api, kind, ["true"]);
    }
    const conditions = vmConditions(await node.sandboxOf("sandboxed"));
    return {
      sides: kinds.map((kind) => ({
        name: kind,
        rows: base.map(({ name }) => `${name}-${kind}`),
        pass: () => pass(node, kind, wanted, archive),
      })),
      missing: new Map(),
      conditions: () => [conditions],
      close: node.close,
    };
  } catch (error) {
    await node.close();
    throw error;
  }
}

async function pass(
  { api }: Node,
  pod: PodKind,
  wanted: ReadonlySet<string>,
  archive: Buffer,
): Promise<Samples> {
  const samples = new Map<string, readonly number[]>();
  const isWanted = (name: (typeof base)[number]["name"]) => wanted.has(`${name}-${pod}`);
  if (isWanted("exec")) {
    const all: number[] = [];
    for (let index = 0; index < execsInAPass; index += 1) {
      all.push(await msOf(() => exec(api, pod, ["true"])));
    }
    samples.set(`exec-${pod}`, all);
  }
  if (isWanted("logs")) {
    samples.set(`logs-${pod}`, [await mibPerSecond(() => api.logBytes(pod), isWholeLog)]);
  }
  if (isWanted("cp-from")) {
    const read = () => exec(api, pod, ["tar", "cf", "-", "-C", "/tmp", "big"]);
    samples.set(`cp-from-${pod}`, [await mibPerSecond(read, (count) => count > bytes)]);
  }
  if (isWanted("cp-to")) {
    const write = () => exec(api, pod, ["tar", "xmf", "-", "-C", "/tmp"], archive);
    samples.set(`cp-to-${pod}`, [await mibPerSecond(write, (count) => count === 0)]);
    await exec(api, pod, ["test", "-s", "/tmp/sent"]);
    await exec(api, pod, ["rm", "/tmp/sent"]);
  }
  return samples;
}

/** The container's own words on stderr come after what is counted. */
const isWholeLog = (count: number) => count >= bytes;

async function logWritten({ api }: Node, pod: string, signal: AbortSignal): Promise<void> {
  await waitUntil(
    async () => {
      signal.throwIfAborted();
      // dd reports when it is through, on stderr.
      return (await api.logBytes(pod)) > bytes;
    },
    { what: `pod ${pod} to write its log`, timeoutMs: 120_000, intervalMs: 500 },
  );
}

function archiveOfRandomBytes(): Buffer {
  const folder = mkdtempSync("/tmp/kbench-");
  try {
    writeFileSync(join(folder, "sent"), randomBytes(bytes));
    const options = { maxBuffer: 2 * bytes };
    return execFileSync("tar", ["-cf", "-", "-C", folder, "sent"], options);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function msOf(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

async function mibPerSecond(
  work: () => Promise<number>,
  isWhole: (count: number) => boolean,
): Promise<number> {
  const startedMs = performance.now();
  const count = await work();
  const seconds = (performance.now() - startedMs) / 1000;
  if (!isWhole(count)) throw new Error(`only ${count} bytes came`);
  return mib / seconds;
}
