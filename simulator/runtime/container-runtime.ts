/**
 * The node's container runtime: routes every verb of `runtime-port.ts` to the shim of the sandbox's
 * handler, as containerd's CRI part does. One adapter for every containerd shim v2.
 */

import { EventEmitter } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Activity, createActivity } from "../../common/activity.ts";
import { type Clock, systemClock } from "../../common/clock.ts";
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { Paths } from "../../common/paths.ts";
import type { ShimOptions } from "../../runtime-shim/index.ts";
import type { ImageStore } from "../images/index.ts";
import type { PodNetwork } from "../network/index.ts";
import type { AttachSession, ContainerRuntime, RuntimeEvent } from "../runtime-port.ts";
import { wantsBootstrapParams } from "./bootstrap.ts";
import { hostCgroupVersion } from "./cgroups.ts";
import { createContainer, startContainer } from "./container-start.ts";
import { cleanUpByBinary, recordExit, recordOom, stopContainer } from "./container-stop.ts";
import type { RuntimeContext } from "./context.ts";
import { runtimeError } from "./errors.ts";
import { type EventFeed, startEventFeed } from "./event-feed.ts";
import { execInContainer, resize } from "./exec.ts";
import { handlerOptions } from "./handler-options.ts";
import {
  foldersBesideProgram,
  handlerStatus,
  ladderOptions,
  rootNeeded,
  shimOf,
} from "./handler-status.ts";
import { builtinHandlers, findHandler, type HandlerConfig } from "./handler-table.ts";
import { noLimits, readHostLimits } from "./host-limits.ts";
import { removeTree } from "./host-mounts.ts";
import { assessKata, type ProveAccelerator, proveByLadder } from "./kata/assessment.ts";
import { genuineKata } from "./kata/choice.ts";
import { containerLayout } from "./layout.ts";
import { createLiveState, type LiveContainer } from "./live-state.ts";
import { portForward } from "./port-forward.ts";
import { openRuntimeRecords } from "./records.ts";
import { recoverSandboxes } from "./recover.ts";
import { removeSandboxFiles, runSandbox, teardownSandbox } from "./sandbox-lifecycle.ts";
import { shimVersion } from "./shim-binary.ts";
import { sandboxExited, watchShim } from "./shim-watch.ts";
import {
  createSpareShims,
  type SpareCounts,
  type SpareShimsOptions,
  spareKind,
  sweepSpares,
} from "./spare-shims.ts";
import { containerStatus, sandboxStatus } from "./statuses.ts";
import { sandboxUsage } from "./usage.ts";

export interface ContainerRuntimeOptions {
  readonly paths: Paths;
  /** Default: `builtinHandlers`. */
  readonly handlers?: readonly HandlerConfig[];
  readonly images: ImageStore;
  readonly network: PodNetwork;
  readonly log: Logger;
  readonly clock?: Clock;
  /** Forces a rung for every handler of our shim; default "auto". */
  readonly hypervisor?: ShimOptions["hypervisor"];
  readonly accel?: ShimOptions["accel"];
  readonly require?: ShimOptions["require"];
  /** Where guests' NICs lead; default "netns". */
  readonly guestNetwork?: ShimOptions["network"];
  readonly egress?: ShimOptions["egress"];
  /** Further options of our shim for every handler of the node. */
  readonly shimOptions?: Partial<ShimOptions>;
  /** VMs and shims that wait for sandboxes; absent where nothing is to run beside those. */
  readonly spares?: Pick<SpareShimsOptions, "pool" | "bare"> & { readonly filled: boolean };
  /** Of the node; default: one of its own. */
  readonly activity?: Activity;
  /** Folders searched for shims before PATH; default: the one beside this program. */
  readonly shimFolders?: readonly string[];
  /** How genuine Kata's accelerator is proved; default: by the rungs of our own ladder. */
  readonly prove?: ProveAccelerator;
}

export interface ShimRuntime extends ContainerRuntime {
  /** Of what waits for sandboxes; undefined where nothing is to. */
  spareCounts(): SpareCounts | undefined;
}

/** Opens the records at once; nothing else happens before `recover()`. */
export function createContainerRuntime(options: ContainerRuntimeOptions): ShimRuntime {
  const { paths, network, log, activity = createActivity() } = options;
  const handlers = options.handlers ?? builtinHandlers;
  const shimFolders = options.shimFolders ?? foldersBesideProgram();
  const records = openRuntimeRecords(paths.database);
  const state = createLiveState(records);
  const events = new EventEmitter();
  // One for the agent's queue, one each for tests and progress: no leak to warn of.
  events.setMaxListeners(50);
  const eventsSocket = join(paths.sockets, "events.sock");
  const katasim: Partial<ShimOptions> = {
    guestDir: paths.guest,
    socketDir: paths.sockets,
    probeCacheDir: paths.guest,
    rootfsCacheDir: paths.rootfs,
    templateDir: paths.templates,
    ...(options.hypervisor === undefined ? {} : { hypervisor: options.hypervisor }),
    ...(options.accel === undefined ? {} : { accel: options.accel }),
    ...(options.require === undefined ? {} : { require: options.require }),
    ...(options.guestNetwork === undefined ? {} : { network: options.guestNetwork }),
    ...(options.egress === undefined ? {} : { egress: options.egress }),
    ...options.shimOptions,
  };
  const hostLimits = readHostLimits();
  const versions = new Map<string, Promise<string | undefined>>();
  /** Asked once for each binary that answers; several handlers share one shim. */
  function version(binary: string): Promise<string | undefined> {
    const known = versions.get(binary);
    if (known !== undefined) return known;
    const asked = shimVersion(binary).then((text) => {
      if (text === undefined) versions.delete(binary);
      return text;
    });
    versions.set(binary, asked);
    return asked;
  }
  let feed: EventFeed | undefined;

  /** The VM of a pod without limits on the first handler that runs VMs. */
  const firstKind = () =>
    spareKind(handlerOptions(sandboxHandler(handlers), { runcRoot: "", katasim }), {
      resources: {},
      volumes: { sharesFolders: false, emptyDirBytes: {} },
    });

  const context: RuntimeContext = {
    paths,
    images: options.images,
    network,
    clock: options.clock ?? systemClock,
    log,
    state,
    namespace: `katasim-${paths.machineName}`,
    cgroupVersion: hostCgroupVersion(),
    // A VM's processes live under the limits of its own kernel.
    limits: (handler) => (handler.sandboxed ? noLimits : hostLimits),
    handler: (name) => findHandler(handlers, name),
    handlerOf: ({ handler, kata }) =>
      kata === undefined
        ? findHandler([...handlers.filter(isOurs), ...builtinHandlers], handler)
        : genuineKata({ configFile: kata.configuration }),
    async command(handler) {
      return {
        binary: shimOf(handler, shimFolders),
        namespace: context.namespace,
        address: join(paths.sockets, "containerd.sock"),
        eventsAddress: eventsSocket,
        debug: katasim.logLevel === "debug",
      };
    },
    options: (handler, kataConfiguration) =>
      handlerOptions(handler, { runcRoot: join(paths.run, "runc"), katasim }, kataConfiguration),
    assessKata: (configFile) =>
      assessKata({
        ...(configFile === undefined ? {} : { configFile }),
        wanted: ladderOptions(katasim),
        prove: options.prove ?? proveByLadder(paths.guest),
      }),
    obstacle: (handler) => rootNeeded(handler, katasim),
    async wantsBootstrapParams(handler) {
      // Only shims built from containerd tell its version; ours takes either.
      if (handler.options.kind === "katasim") return false;
      return wantsBootstrapParams((await version(shimOf(handler, shimFolders))) ?? "");
    },
    emit: (event) => void events.emit("event", event),
    spares:
      options.spares === undefined
        ? undefined
        : createSpareShims({
            ...{ pool: options.spares.pool, bare: options.spares.bare },
            binary: () => shimOf(sandboxHandler(handlers), shimFolders),
            socketFolder: paths.sockets,
            firstKind: options.spares.filled ? firstKind() : undefined,
            ...{ activity, log },
          }),
  };

  const { assessKata: assess } = context;
  const statusOptions = { paths, shimFolders, katasim, version, assessKata: assess };

  async function recover(): Promise<void> {
    await mkdir(paths.sandboxes, { recursive: true, mode: 0o711 });
    feed = await startEventFeed(eventsSocket, eventSink(context), log);
    await recoverSandboxes(context);
    sweepSpares(context);
  }

  async function removeContainer(container: LiveContainer): Promise<void> {
    const { id, sandboxId } = container.record;
    await stopContainer(context, container, 0);
    if (container.record.inShim)
      await cleanUpByBinary(context, container, "the container was removed");
    container.io?.close();
    const layout = containerLayout(paths, sandboxId, id);
    await removeTree(layout.bundle);
    await removeTree(layout.layer);
    const fifos = [layout.stdin, layout.stdout, layout.stderr];
    await Promise.all(fifos.map((fifo) => rm(fifo, { force: true })));
    state.dropContainer(id);
  }

  function attach(container: LiveContainer, wantsStdin: boolean): AttachSession {
    const { id, state: containerState } = container.record;
    const { tasks } = state.sandboxOf(container);
    if (containerState !== "running" || container.io === undefined || tasks === undefined) {
      throw runtimeError(
        "CONTAINER_WRONG_STATE",
        `failed to attach container "${id}": container is in ${`container_${containerState}`.toUpperCase()} state`,
      );
    }
    const client = container.io.attach(wantsStdin);
    return { ...client, resize: (columns, rows) => resize(tasks, { id }, columns, rows) };
  }

  return {
    spareCounts: () => context.spares?.counts(),
    handlers: () => Promise.all(handlers.map((handler) => handlerStatus(handler, statusOptions))),
    runSandbox: (handler, spec, signal) =>
      activity.during(async () => {
        const sandbox = await runSandbox(context, handler, spec, signal);
        if (sandbox.tasks !== undefined) watchShim(context, sandbox, sandbox.tasks);
        return sandboxStatus(context, sandbox);
      }),
    async sandboxStatus(id) {
      const found = state.findSandbox(id);
      return found === undefined ? undefined : sandboxStatus(context, found);
    },
    listSandboxes: async () => state.sandboxes().map((sandbox) => sandboxStatus(context, sandbox)),
    async stopSandbox(id) {
      const found = state.findSandbox(id);
      if (found !== undefined) await teardownSandbox(context, found);
    },
    async removeSandbox(id) {
      const found = state.findSandbox(id);
      if (found === undefined) return;
      await teardownSandbox(context, found);
      await removeSandboxFiles(context, found);
    },
    createContainer: (sandboxId, spec) =>
      activity.during(async () =>
        containerStatus(await createContainer(context, state.sandbox(sandboxId), spec)),
      ),
    startContainer: (id) =>
      activity.during(async () => {
        const container = state.container(id);
        await startContainer(context, container);
        return containerStatus(container);
      }),
    async stopContainer(id, graceMs) {
      const found = state.findContainer(id);
      if (found !== undefined) await stopContainer(context, found, graceMs);
    },
    async removeContainer(id) {
      const found = state.findContainer(id);
      if (found !== undefined) await removeContainer(found);
    },
    async containerStatus(id) {
      const found = state.findContainer(id);
      return found === undefined ? undefined : containerStatus(found);
    },
    listContainers: async (sandboxId) =>
      [...(state.findSandbox(sandboxId)?.containers.values() ?? [])].map(containerStatus),
    exec: async (id, wanted) => execInContainer(context, state.container(id), wanted),
    attach: async (id, { stdin }) => attach(state.container(id), stdin),
    portForward: async (id, port) => portForward(context, state.sandbox(id), port),
    async usage(id) {
      const found = state.findSandbox(id);
      return found === undefined ? [] : sandboxUsage(found);
    },
    onEvent(listener: (event: RuntimeEvent) => void) {
      events.on("event", listener);
      return () => void events.off("event", listener);
    },
    recover,
    async close() {
      for (const sandbox of state.sandboxes()) {
        sandbox.closing = true;
        for (const container of sandbox.containers.values()) container.io?.close();
        sandbox.shimLog?.close();
        sandbox.tasks?.close();
        sandbox.tasks = undefined;
      }
      await context.spares?.close();
      await feed?.close();
      feed = undefined;
      records.close();
    },
  };
}

/** The first that runs VMs by our shim. */
function sandboxHandler(handlers: readonly HandlerConfig[]): HandlerConfig {
  const found = handlers.find(({ options }) => options.kind === "katasim");
  if (found === undefined) throw runtimeError("HANDLER_UNKNOWN", "no handler runs VMs of ours");
  return found;
}

function isOurs({ options }: HandlerConfig): boolean {
  return options.kind !== "kata";
}

function eventSink(context: RuntimeContext) {
  const { state, log } = context;
  return {
    exited(id: string, exit: { exitCode: number; exitedAtMs: number | undefined }) {
      const sandbox = state.findSandbox(id);
      if (sandbox !== undefined) sandboxExited(context, sandbox, exit);
      const container = state.findContainer(id);
      if (container === undefined) return;
      recordExit(context, container, exit).catch((error: unknown) =>
        log.error({ container: id, error: messageOf(error) }, "exit not recorded"),
      );
    },
    oom(id: string) {
      const container = state.findContainer(id);
      if (container !== undefined) recordOom(context, container);
    },
  };
}
