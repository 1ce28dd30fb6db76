/**
 * Shims that run before there is a sandbox for them: a bare one saves a pod the start of a program; one of
 * the warm pool has a VM that waits, too. Each serves one sandbox, and is replaced when the node is quiet.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fromBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { Activity } from "../../common/activity.ts";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import { OptionsSchema } from "../../proto/containerd/gen/runtime_options_pb.js";
import {
  type PrepareOrder,
  ShimOptionsSchema,
  type StartOrder,
  spareFoldersOf,
} from "../../runtime-shim/index.ts";
import type { SandboxSpec } from "../runtime-port.ts";
import type { RuntimeContext } from "./context.ts";
import { sandboxLayout } from "./layout.ts";
import { sizingAnnotations } from "./oci-spec.ts";

/** The VM a sandbox gets, as far as it is decided before there is one. */
export type SpareVmKind = Pick<PrepareOrder, "options" | "annotations">;

/** Undefined for a sandbox whose VM cannot be made before its network and volumes are known. */
export function spareKind(
  options: Any,
  spec: Pick<SandboxSpec, "resources" | "volumes">,
): SpareVmKind | undefined {
  const json = new TextDecoder().decode(fromBinary(OptionsSchema, options.value).configBody);
  const { network, sharedFolders } = ShimOptionsSchema.parse(JSON.parse(json));
  const sharesFolders = spec.volumes?.sharesFolders ?? sharedFolders;
  if (network !== "netns" || sharesFolders) return undefined;
  // What decides the VM's size; shares, and a period without a quota, do not.
  const { cpuQuotaUs, cpuPeriodUs, memoryBytes } = spec.resources;
  const sum = {
    ...(cpuQuotaUs === undefined || cpuPeriodUs === undefined ? {} : { cpuQuotaUs, cpuPeriodUs }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
  };
  return { options: json, annotations: sizingAnnotations(sum) };
}

export interface SpareShims {
  /** One for a sandbox that wants this VM; undefined when there is none. `kind` undefined: a bare one. */
  take(kind: SpareVmKind | undefined): SpareShim | undefined;
  counts(): SpareCounts;
  /** Ends all that wait. Idempotent. */
  close(): Promise<void>;
}

export interface SpareCounts {
  /** Of the pool: VMs that wait, and how many there should be. */
  readonly ready: number;
  readonly wanted: number;
  /** Sandboxes that got one of them. */
  readonly served: number;
  /** Sandboxes that found none. */
  readonly missed: number;
}

export interface SpareShim {
  /** Makes it the sandbox's shim. Answers its address; rejects with its words, and it is gone then. */
  start(order: StartOrder): Promise<string>;
  /** Ends it. Idempotent; not after `start`. */
  discard(): void;
}

export interface SpareShimsOptions {
  /** Of our shim. */
  readonly binary: () => string;
  readonly socketFolder: string;
  /** VMs that wait. */
  readonly pool: number;
  /** Shims that wait without one. */
  readonly bare: number;
  /** What the pool holds before any sandbox was wanted; undefined for nothing. */
  readonly firstKind: SpareVmKind | undefined;
  /** Of the node: what is under way goes first. */
  readonly activity: Activity;
  readonly log: Logger;
}

// What follows a start on the way of a pod is not to be slowed down.
const quietMs = 200;
const answerTimeoutMs = 60_000;

const namePrefix = "spare-";

interface Spare extends SpareShim {
  readonly kind: SpareVmKind | undefined;
  isReady(): boolean;
  prepare(kind: SpareVmKind, rehearse: boolean): void;
  readonly ended: Promise<void>;
}

export function createSpareShims(options: SpareShimsOptions): SpareShims {
  const { pool, bare, log } = options;
  const spares = new Set<Spare>();
  let kind = options.firstKind;
  let served = 0;
  let missed = 0;
  let failures = 0;

  const ofPool = () => [...spares].filter((spare) => spare.kind !== undefined);
  const isSame = (one: SpareVmKind | undefined, other: SpareVmKind | undefined) =>
    JSON.stringify(one) === JSON.stringify(other);
  const add = (wanted: SpareVmKind | undefined) => {
    const spare = startSpare(options, wanted);
    spares.add(spare);
    void spare.ended.then(() => {
      // One that ends by itself is not replaced for ever.
      if (spares.delete(spare)) failures += 1;
      quiet.touch();
    });
    if (wanted !== undefined) spare.prepare(wanted, true);
  };
  /** One at a time: the next when this one is ready. */
  const refill = () => {
    if (failures > maxFailures) return;
    if ([...spares].some((spare) => !spare.isReady())) return quiet.touch();
    const waiting = ofPool();
    const stale = waiting.find((spare) => !isSame(spare.kind, kind));
    if (stale !== undefined) {
      spares.delete(stale);
      stale.discard();
    }
    if (spares.size - waiting.length < bare) add(undefined);
    else if (kind !== undefined && waiting.length < pool) add(kind);
    else if (stale === undefined) return;
    quiet.touch();
  };
  const quiet = options.activity.whenQuiet(quietMs, refill);
  // Where nobody wants sandboxes nothing waits for one.
  if (kind !== undefined) quiet.touch();

  return {
    take(wanted) {
      quiet.touch();
      if (wanted !== undefined && pool > 0) kind = wanted;
      const pooled =
        wanted === undefined
          ? undefined
          : ofPool().find((spare) => spare.isReady() && isSame(spare.kind, wanted));
      if (wanted !== undefined && pool > 0) {
        if (pooled === undefined) missed += 1;
        else served += 1;
      }
      // One that is not up yet will be sooner than another.
      const bares = [...spares].filter((one) => one.kind === undefined);
      const spare = pooled ?? bares.find((one) => one.isReady()) ?? bares[0];
      if (spare === undefined) return undefined;
      spares.delete(spare);
      if (pooled === undefined && wanted !== undefined) spare.prepare(wanted, false);
      log.debug({ pooled: pooled !== undefined }, "a spare shim is taken");
      return spare;
    },
    counts: () => ({
      ready: ofPool().filter((spare) => spare.isReady()).length,
      ...{ wanted: pool, served, missed },
    }),
    async close() {
      quiet.close();
      const all = [...spares];
      spares.clear();
      for (const spare of all) spare.discard();
      await Promise.all(all.map(({ ended }) => ended));
    },
  };
}

// A machine on which they do not work is not kept busy with trying.
const maxFailures = 5;

function startSpare(
  { binary, socketFolder, log }: SpareShimsOptions,
  kind: SpareVmKind | undefined,
): Spare {
  const id = `${namePrefix}${randomBytes(6).toString("hex")}`;
  // A session of its own: neither Ctrl-C nor a closed terminal of ours reaches it.
  const child = spawn(binary(), ["spare"], {
    detached: true,
    stdio: ["pipe", "pipe", "ignore"],
    cwd: "/",
  });
  let isPrepared = kind === undefined;
  let isUp = false;
  let started: ((answer: Answer) => void) | undefined;
  const ended = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      log.warn({ error: messageOf(error) }, "no spare shim");
      resolve();
    });
    child.once("exit", () => resolve());
  });
  child.stdin.on("error", () => {});
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    const answer = parseAnswer(line);
    if (answer.spare !== undefined) isUp = true;
    else if (started !== undefined) started(answer);
    else if (answer.prepared) isPrepared = true;
    else {
      log.warn({ error: answer.error }, "a spare shim could not prepare its VM");
      child.stdin.end();
    }
  });
  const write = (order: object) => void child.stdin.write(`${JSON.stringify(order)}\n`);
  return {
    kind,
    ended,
    isReady: () => isUp && isPrepared,
    prepare: (wanted, rehearse) =>
      write({
        prepare: { ...{ id, socketPrefix: join(socketFolder, id), ...wanted, rehearse } },
      }),
    discard: () => void child.stdin.end(),
    async start(order) {
      try {
        const answer = await new Promise<Answer>((resolve, reject) => {
          started = (given) => {
            // What it was doing before may be told once more.
            if (given.prepared === undefined) resolve(given);
          };
          void ended.then(() => reject(new Error("the spare shim has ended")));
          setTimeout(reject, answerTimeoutMs, new Error("the spare shim did not answer")).unref();
          write({ start: order });
        });
        if (answer.address === undefined) throw new Error(answer.error ?? "no address");
        return answer.address;
      } catch (error) {
        child.kill("SIGKILL");
        throw error;
      } finally {
        letGo(child);
        lines.close();
      }
    },
  };
}

/** It lives on without us. */
function letGo(child: ChildProcess): void {
  child.stdin?.destroy();
  child.stdout?.destroy();
  child.unref();
}

interface Answer {
  readonly spare?: number;
  readonly prepared?: boolean;
  readonly address?: string;
  readonly error?: string;
}

function parseAnswer(line: string): Answer {
  try {
    return JSON.parse(line) as Answer;
  } catch {
    return { error: `no answer: ${line.slice(0, 200)}` };
  }
}

/** Removes what spare VMs left that ended with a node that was killed. */
export function sweepSpares({ paths, state }: Pick<RuntimeContext, "paths" | "state">): void {
  const used = state
    .sandboxes()
    .flatMap(({ record }) => spareFoldersOf(sandboxLayout(paths, record.id).bundle));
  for (const name of readdirSync(paths.sockets)) {
    const path = join(paths.sockets, name);
    if (!name.startsWith(namePrefix) || used.includes(path)) continue;
    rmSync(path, { recursive: true, force: true });
  }
}
