/** Starts and ends sandboxes: network, shim, the sandbox task, and everything they leave behind. */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Any } from "@bufbuild/protobuf/wkt";
import { isSimError, messageOf, type SimError } from "../../common/errors.ts";
import { newContainerId } from "../../common/ids.ts";
import { stepNow } from "../../common/timeline.ts";
import { socketPathOf } from "../../runtime-shim/index.ts";
import { runCommand } from "../command.ts";
import type { SandboxSpec } from "../runtime-port.ts";
import { removePodCgroup } from "./cgroups.ts";
import { killContainers } from "./container-stop.ts";
import type { RuntimeContext } from "./context.ts";
import { runtimeError } from "./errors.ts";
import { marshalAny } from "./handler-options.ts";
import { defaultHandler, type HandlerConfig } from "./handler-table.ts";
import { mountsUnder, removeTree } from "./host-mounts.ts";
import { type KataVm, planKataVm } from "./kata/vm.ts";
import { containerLayout, sandboxLayout } from "./layout.ts";
import type { LiveSandbox } from "./live-state.ts";
import { sizingAnnotations } from "./oci-spec.ts";
import { endProcess, findProcess } from "./process-end.ts";
import { makeSandboxFiles, writeSandboxSpec } from "./sandbox-bundle.ts";
import { runShimDelete, type ShimCommand, startShim } from "./shim-binary.ts";
import { openShimLog } from "./shim-log.ts";
import { connectShim, isConnectionLost, type ShimTasks, shimErrorText } from "./shim-tasks.ts";
import { type SpareShim, spareKind } from "./spare-shims.ts";
import { within } from "./within.ts";

const sigkill = 9;
// A pause process or VMM is gone well within this after SIGKILL.
const killTimeoutMs = 10_000;

/** Rejects with SANDBOX_CREATE_FAILED after clearing everything away again. */
export async function runSandbox(
  context: RuntimeContext,
  handlerName: string,
  spec: SandboxSpec,
  signal?: AbortSignal,
): Promise<LiveSandbox> {
  const { state } = context;
  const handler = context.handler(handlerName === "" ? defaultHandler : handlerName);
  refuseUnsupported(handler, spec);
  refuseUnusable(handler, context.obstacle(handler));
  const command = await context.command(handler);
  const kata = await kataVm(context, handler, spec);
  const sandbox = state.addSandbox({
    id: newContainerId(),
    handler: handler.name,
    spec,
    createdAtMs: context.clock.nowMs(),
    state: "creating",
    timeline: [stepNow("sandbox begun")],
    ...(kata === undefined ? {} : { kata }),
  });
  const { id } = sandbox.record;
  const spare = takeSpare(context, handler, spec);
  try {
    signal?.throwIfAborted();
    const [layout] = await allSettledOrThrow([
      makeSandboxFiles(context, { id, handler, spec }),
      attachNetwork(context, sandbox, handler),
    ]);
    await writeSandboxSpec(context, layout, {
      id,
      handler,
      spec,
      netnsPath: sandbox.record.netnsPath,
      guestAddress: sandbox.record.guestAddress,
    });
    sandbox.shimLog = openShimLog(join(layout.bundle, "log"), context.log.child({ sandbox: id }));
    const options = context.options(handler, kata?.configuration);
    const address =
      (await startSpare(context, spare, command, { id, bundle: layout.bundle, options })) ??
      (await startShim(command, id, layout.bundle, {
        options: marshalAny(options),
        bootstrapParams: await context.wantsBootstrapParams(handler),
      }));
    state.reachStep(sandbox, "shim up", { address });
    signal?.throwIfAborted();
    const tasks = await connectShim(address, context.namespace);
    sandbox.tasks = tasks;
    const taskPid = await tasks.create({ id, bundle: layout.bundle, options }, signal);
    state.updateSandbox(sandbox, { taskPid, shimPid: await tasks.shimPid(id) });
    await tasks.start({ id });
    signal?.throwIfAborted();
    state.reachStep(sandbox, "sandbox ready", { state: "ready" });
    return sandbox;
  } catch (error) {
    spare?.discard();
    const failure = creationError(sandbox, error);
    context.log.warn(
      { sandbox: id, handler: handler.name, error: failure.message },
      "sandbox failed",
    );
    await teardownSandbox(context, sandbox).catch((cleanup: unknown) =>
      context.log.error({ sandbox: id, error: messageOf(cleanup) }, "cleanup failed"),
    );
    await removeSandboxFiles(context, sandbox).catch(() => undefined);
    signal?.throwIfAborted();
    throw failure;
  }
}

/** Already at work on the sandbox's VM, as far as that can be. */
function takeSpare(
  { spares, options }: RuntimeContext,
  handler: HandlerConfig,
  spec: SandboxSpec,
): SpareShim | undefined {
  if (spares === undefined || handler.options.kind !== "katasim") return undefined;
  return spares.take(spareKind(options(handler), spec));
}

/** Undefined when there is none, and when it failed. */
async function startSpare(
  context: RuntimeContext,
  spare: SpareShim | undefined,
  { namespace, address, eventsAddress, debug }: ShimCommand,
  { id, bundle, options }: { readonly id: string; readonly bundle: string; readonly options: Any },
): Promise<string | undefined> {
  const input = Buffer.from(marshalAny(options)).toString("base64");
  try {
    return await spare?.start({
      ...{ namespace, id, address, bundle, debug, ttrpcAddress: eventsAddress, input },
    });
  } catch (error) {
    context.log.warn({ sandbox: id, error: messageOf(error) }, "the spare shim is of no use");
    return undefined;
  }
}

/** Undefined unless genuine Kata is to run the sandbox. */
async function kataVm(
  context: RuntimeContext,
  { options }: HandlerConfig,
  { resources }: SandboxSpec,
): Promise<KataVm | undefined> {
  if (options.kind !== "kata") return undefined;
  return planKataVm(await context.assessKata(options.configFile), sizingAnnotations(resources));
}

function refuseUnsupported(handler: HandlerConfig, spec: SandboxSpec): void {
  if (!handler.sandboxed) return;
  const wanted = (["hostNetwork", "hostPid", "hostIpc"] as const).filter((field) => spec[field]);
  if (wanted.length === 0) return;
  throw runtimeError(
    "SANDBOX_UNSUPPORTED",
    `runtime handler "${handler.name}" runs pods in a VM of their own and cannot share the node's namespaces: ${wanted.join(", ")}`,
    { hint: "Leave the field out, or use a RuntimeClass that shares the node's kernel." },
  );
}

/** What cannot work is said before anything is made. */
function refuseUnusable(handler: HandlerConfig, obstacle: string | undefined): void {
  if (obstacle === undefined) return;
  throw runtimeError(
    "HANDLER_UNUSABLE",
    `runtime handler "${handler.name}" cannot be used here: ${obstacle}`,
  );
}

async function attachNetwork(
  context: RuntimeContext,
  sandbox: LiveSandbox,
  handler: HandlerConfig,
): Promise<void> {
  const { network, state } = context;
  // The simulated node's network, never the machine's own.
  const { id: sandboxId, spec } = sandbox.record;
  if (spec.hostNetwork) {
    await network.ensureNode();
    state.reachStep(sandbox, "network attached", { netnsPath: network.nodeNetnsPath });
    return;
  }
  try {
    const { podNamespace, podName, podUid, hostPorts } = spec;
    const playsNetwork = handler.options.kind === "katasim";
    const pod = { sandboxId, podNamespace, podName, podUid, hostPorts, playsNetwork };
    state.reachStep(sandbox, "network attached", await network.attach(pod));
  } catch (error) {
    throw runtimeError(
      "SANDBOX_CREATE_FAILED",
      `failed to setup network for sandbox "${sandboxId}": ${messageOf(error)}`,
      { cause: error, ...(isSimError(error) && error.hint ? { hint: error.hint } : {}) },
    );
  }
}

function creationError(sandbox: LiveSandbox, error: unknown): SimError {
  const known = isSimError(error) && error.definition.reason === "FailedCreatePodSandBox";
  if (known) return error;
  const lastWords = isConnectionLost(error) ? sandbox.shimLog?.lastError() : undefined;
  const text = shimErrorText(error) + (lastWords === undefined ? "" : `: ${lastWords}`);
  const stage =
    sandbox.tasks === undefined
      ? "failed to create containerd task: "
      : "failed to create containerd task: failed to create shim task: ";
  return runtimeError("SANDBOX_CREATE_FAILED", stage + text, {
    cause: error,
    ...(isSimError(error) && error.hint ? { hint: error.hint } : {}),
  });
}

/**
 * Ends everything the sandbox runs and gives its network back; what remains are files and records.
 * May be repeated, and works without a living shim.
 */
export async function teardownSandbox(
  context: RuntimeContext,
  sandbox: LiveSandbox,
): Promise<void> {
  if (sandbox.tornDown) return;
  sandbox.closing = true;
  const { id, address, shimPid, spec, kata, taskPid } = sandbox.record;
  const { bundle } = sandboxLayout(context.paths, id);
  await killContainers(context, sandbox);
  const { tasks } = sandbox;
  if (tasks !== undefined) {
    await endTask(context, tasks, id);
    tasks.close();
    sandbox.tasks = undefined;
  }
  // Always, as containerd does: it finds nothing to do after an orderly end, and is the only way
  // after a shim's death.
  if (address !== undefined && existsSync(bundle)) {
    const command = await context.command(context.handlerOf(sandbox.record));
    await runShimDelete(command, id, bundle);
  }
  const leftOver = shimPid ?? findProcess("containerd-shim", id);
  if (leftOver !== undefined) await endProcess(leftOver, "containerd-shim", context.clock);
  // A VMM of Kata's that its shim lost; every hypervisor of Kata's has the id in its arguments.
  if (kata !== undefined && taskPid !== undefined) await endProcess(taskPid, id, context.clock);
  sandbox.shimLog?.close();
  sandbox.shimLog = undefined;
  // A killed shim leaves its socket.
  if (address !== undefined) await rm(socketPathOf(address), { force: true });
  await context.network.detach(id);
  for (const point of await mountsUnder(sandboxLayout(context.paths, id).folder)) {
    await runCommand("umount", ["-l", point]);
  }
  await removePodCgroup(context.paths.machineName, spec.podUid);
  sandbox.tornDown = true;
  if (sandbox.record.state !== "notready")
    context.state.updateSandbox(sandbox, { state: "notready" });
}

/** Each step for itself: a task that was never made must not keep the shim from shutting down. */
async function endTask(context: RuntimeContext, tasks: ShimTasks, id: string): Promise<void> {
  const steps = [
    () => tasks.kill({ id }, sigkill, true),
    () => within(context.clock, tasks.wait({ id }), killTimeoutMs),
    () => tasks.delete({ id }),
    () => tasks.shutdown(id),
  ];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      if (isConnectionLost(error)) return;
      context.log.debug(
        { sandbox: id, error: messageOf(error) },
        "sandbox task did not end in order",
      );
    }
  }
}

/** Leaves nothing. The sandbox must be torn down. */
export async function removeSandboxFiles(
  context: RuntimeContext,
  sandbox: LiveSandbox,
): Promise<void> {
  const { id } = sandbox.record;
  for (const container of sandbox.containers.values()) {
    container.io?.close();
    await removeTree(containerLayout(context.paths, id, container.record.id).layer);
  }
  await removeTree(sandboxLayout(context.paths, id).folder);
  context.state.dropSandbox(id);
}

/** As Promise.all, but waits for all of them: cleanup must not race with work still under way. */
async function allSettledOrThrow<A, B>(work: readonly [Promise<A>, Promise<B>]): Promise<[A, B]> {
  await Promise.allSettled(work);
  return Promise.all(work);
}
