/** The daemon: serves the task service of one sandbox until no task is left. */
import { closeSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import { writePidFile } from "../../common/process/process-identity.ts";
import { tidyMemory } from "../../common/process/tidy-memory.ts";
import { Task } from "../../proto/containerd/gen/task_pb.js";
import type { ShimArguments } from "../arguments.ts";
import { shimError } from "../errors.ts";
import { createPublisher } from "../service/publisher.ts";
import { createShimLog } from "../service/shim-log.ts";
import type { SpareVm } from "../service/spare-vm.ts";
import {
  readShimState,
  removeSockets,
  type ShimState,
  shimPidFile,
  socketPaths,
} from "../service/state-file.ts";
import { createTaskService } from "../service/task-service.ts";
import { createTtrpcServer } from "../ttrpc/server.ts";
import { readyDescriptor, readyVariable } from "./start.ts";

const taskServiceV3 = "containerd.task.v3.Task";

// The last exit and delete events of a sandbox; containerd itself waits 3 s for a shutdown.
const flushTimeoutMs = 2_000;

// Create comes right behind `start`, and Shutdown right behind the last Delete. Without them containerd
// was killed in between and will not come back for this process.
const idlePatienceMs = 30_000;
const lookMs = 5_000;
// A pod's start takes a second or two; what comes after it is seldom much.
const tidyMs = 6_000;

/** Resolves when the daemon's work is done and everything it made is gone. */
export async function run(args: ShimArguments): Promise<void> {
  try {
    await serve(args.bundle, { ready: () => tellReady("ready") });
  } catch (error) {
    tellReady(messageOf(error));
    throw error;
  }
}

/** The daemon of the sandbox whose `shim.json` is in the bundle. `ready` answers whether anybody knows. */
export async function serve(
  bundle: string,
  { ready, spareVm }: { ready(): boolean; readonly spareVm?: SpareVm | undefined },
): Promise<void> {
  const state = readShimState(bundle);
  if (state === undefined) {
    throw shimError("BAD_BUNDLE", `${bundle} has no shim.json: the daemon is started by "start"`);
  }
  const log = createShimLog({
    bundle,
    debug: state.debug,
    ...(state.logLevel === undefined ? {} : { logLevel: state.logLevel }),
    ...(state.logFile === undefined ? {} : { logFile: state.logFile }),
  }).child({ shim: state.groupId.slice(0, 12) });
  const publisher = createPublisher({
    address: state.publishAddress,
    namespace: state.namespace,
    log,
  });
  let finish: (why: string) => void = () => {};
  const finished = new Promise<string>((resolve) => {
    finish = resolve;
  });
  const service = createTaskService({
    ...{ state, publisher, log, spareVm },
    shutdown: () => finish("no task is left"),
  });
  const server = createTtrpcServer({ log });
  server.serve(Task, service.handlers, [taskServiceV3]);
  const { task } = socketPaths(state.socketPrefix);
  await server.listen(task);
  writePidFile(join(bundle, shimPidFile), process.pid);
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => finish(signal));
  // The terminal or the agent that started us may go away; the sandbox stays.
  process.on("SIGHUP", () => {});
  // A bug in one call must not take the pod down; one that is thrown outside of any call must not
  // leave a VM without a keeper.
  process.on("uncaughtException", (error) => {
    log.fatal({ error: error.stack }, "uncaught");
    finish("an internal error");
  });
  // The starter was killed meanwhile: nobody will learn the address, so nobody would end this process.
  if (!ready()) finish("the start was given up");
  log.info({ bundle, pid: process.pid }, "shim started");
  const tidying = setInterval(() => {
    if (service.isIdle()) return;
    // Once, when the start is over.
    clearInterval(tidying);
    tidyMemory();
  }, tidyMs);
  tidying.unref();
  const stopLooking = endWhenForgotten(bundle, service.isIdle, finish);
  const why = await finished;
  stopLooking();
  log.info({ why }, "shim stops");
  await service.stop();
  await publisher.flush(flushTimeoutMs);
  publisher.close();
  await server.close();
  removeOwnFiles(state);
}

/** A bundle that is gone was given up by its owner, who found no daemon in it yet. */
function endWhenForgotten(
  bundle: string,
  isIdle: () => boolean,
  finish: (why: string) => void,
): () => void {
  let idleMs = 0;
  const timer = setInterval(() => {
    idleMs = isIdle() ? idleMs + lookMs : 0;
    if (readShimState(bundle) === undefined) finish("its bundle is gone");
    else if (idleMs >= idlePatienceMs) finish("nobody gave it a task");
  }, lookMs);
  return () => clearInterval(timer);
}

function removeOwnFiles(state: ShimState): void {
  removeSockets(state);
  rmSync(join(state.bundle, shimPidFile), { force: true });
}

/** False when the one who waited is gone. By hand nobody waits, and the descriptor may be anything. */
function tellReady(words: string): boolean {
  if (process.env[readyVariable] === undefined) return true;
  delete process.env[readyVariable];
  try {
    writeSync(readyDescriptor, words);
    closeSync(readyDescriptor);
    return true;
  } catch {
    return false;
  }
}
