/** Prepares a container's bundle and starts it as a task of its sandbox's shim. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isSimError, messageOf, type SimError } from "../../common/errors.ts";
import { newContainerId } from "../../common/ids.ts";
import { readExitReason } from "../../runtime-shim/index.ts";
import type { ContainerSpec } from "../runtime-port.ts";
import { podCgroup } from "./cgroups.ts";
import { openContainerIo } from "./container-io.ts";
import { recordExit } from "./container-stop.ts";
import { containerUser } from "./container-user.ts";
import type { RuntimeContext } from "./context.ts";
import { runtimeError } from "./errors.ts";
import { makeFifos } from "./fifos.ts";
import { hostDevices } from "./host-devices.ts";
import { containerLayout, sandboxLayout } from "./layout.ts";
import type { LiveContainer, LiveSandbox } from "./live-state.ts";
import { localhostSeccomp } from "./localhost-seccomp.ts";
import { containerOciSpec } from "./oci-spec.ts";
import { environment, processArgs } from "./process-args.ts";
import { readInRoot } from "./rootfs-file.ts";
import { isConnectionLost, type ShimTasks, shimErrorText } from "./shim-tasks.ts";
import { signalNumber } from "./signals.ts";

// containerd internal/cri/server/container_start.go errorStartExitCode, errorStartReason.
const startErrorExitCode = 128;
const startErrorReason = "StartError";

/** Nothing runs yet. Rejects with CONTAINER_CONFIG or CONTAINER_CREATE_FAILED. */
export async function createContainer(
  context: RuntimeContext,
  sandbox: LiveSandbox,
  spec: ContainerSpec,
): Promise<LiveContainer> {
  const { id: sandboxId, state, spec: pod, taskPid } = sandbox.record;
  if (state !== "ready" || taskPid === undefined) {
    throw runtimeError("SANDBOX_NOT_READY", `sandbox container "${sandboxId}" is not running`);
  }
  const handler = context.handlerOf(sandbox.record);
  const { config, accounts } = context.images.content(spec.image.id);
  const id = newContainerId();
  const layout = containerLayout(context.paths, sandboxId, id);
  const oci = containerOciSpec({
    sandboxId,
    sandbox: pod,
    sandboxPid: taskPid,
    netnsPath: sandbox.record.netnsPath,
    spec,
    args: processArgs(spec, config),
    env: environment({ image: config, hostname: pod.hostname, tty: spec.tty, env: spec.env }),
    cwd: spec.workingDir || config.config?.WorkingDir || "/",
    user: containerUser(spec.security, config, {
      passwd: await readInRoot(accounts, "/etc/passwd"),
      group: await readInRoot(accounts, "/etc/group"),
    }),
    cgroupsPath: `${podCgroup(context.paths.machineName, pod.podUid)}/${id}`,
    cgroupVersion: context.cgroupVersion,
    files: sandboxLayout(context.paths, sandboxId).files,
    // As `privileged_without_host_devices` for VMs: the host's devices are not in the guest.
    hostDevices: spec.security.privileged && !handler.sandboxed ? await hostDevices() : [],
    limits: context.limits(handler),
    localhostSeccomp: await localhostSeccomp(context.paths.seccomp, spec.security.seccomp),
  });
  const container = context.state.addContainer({
    id,
    sandboxId,
    spec,
    createdAtMs: context.clock.nowMs(),
    state: "created",
    inShim: false,
    stopSignal: signalNumber(config.config?.StopSignal ?? undefined),
  });
  await mkdir(join(layout.bundle, "rootfs"), { recursive: true, mode: 0o711 });
  await writeFile(join(layout.bundle, "config.json"), JSON.stringify(oci), { mode: 0o600 });
  return container;
}

/**
 * Rejects with CONTAINER_START_FAILED in containerd's words; the container then counts as exited
 * with code 128 and reason StartError. A running container is left as it is.
 */
export async function startContainer(
  context: RuntimeContext,
  container: LiveContainer,
): Promise<void> {
  const { id, state } = container.record;
  if (state === "running") return;
  if (state === "exited") {
    throw runtimeError(
      "CONTAINER_WRONG_STATE",
      `container "${id}" has exited and cannot be started again`,
    );
  }
  const sandbox = context.state.sandboxOf(container);
  const { tasks } = sandbox;
  if (tasks === undefined || sandbox.record.state !== "ready") {
    throw runtimeError(
      "SANDBOX_NOT_READY",
      `sandbox container "${sandbox.record.id}" is not running`,
    );
  }
  try {
    await createTask(context, sandbox, container, tasks);
  } catch (error) {
    throw startFailed(
      context,
      container,
      `failed to create containerd task: failed to create shim task: ${startErrorText(context, sandbox, error)}`,
      error,
    );
  }
  try {
    await tasks.start({ id });
  } catch (error) {
    await tasks.delete({ id }).catch(() => undefined);
    throw startFailed(
      context,
      container,
      `failed to start containerd task "${id}": ${startErrorText(context, sandbox, error)}`,
      error,
    );
  }
  context.state.updateContainer(container, {
    state: "running",
    startedAtMs: context.clock.nowMs(),
  });
  watchExit(context, container, tasks);
}

async function createTask(
  context: RuntimeContext,
  sandbox: LiveSandbox,
  container: LiveContainer,
  tasks: ShimTasks,
): Promise<void> {
  const { id, sandboxId, spec } = container.record;
  const layout = containerLayout(context.paths, sandboxId, id);
  const handler = context.handlerOf(sandbox.record);
  const stdin = spec.stdin ? [layout.stdin] : [];
  const stderr = spec.tty ? [] : [layout.stderr];
  const [rootfs] = await Promise.all([
    rootfsMount(context, handler.snapshotter, container),
    makeFifos([...stdin, layout.stdout, ...stderr]),
  ]);
  openIo(context, container, tasks);
  context.state.updateContainer(container, { inShim: true });
  // The shim of the sandbox serves its containers; containerd 2 asks no second `start` either.
  await tasks.create({
    id,
    bundle: layout.bundle,
    rootfs: [rootfs],
    terminal: spec.tty,
    stdin: stdin[0] ?? "",
    stdout: layout.stdout,
    stderr: stderr[0] ?? "",
    options: context.options(handler, sandbox.record.kata?.configuration),
  });
}

/** Also after a restart of the node: the FIFOs are still there. */
export function openIo(
  context: RuntimeContext,
  container: LiveContainer,
  tasks: Pick<ShimTasks, "closeStdin">,
): void {
  const { id, sandboxId, spec } = container.record;
  const layout = containerLayout(context.paths, sandboxId, id);
  container.io = openContainerIo({
    stdout: layout.stdout,
    stderr: spec.tty ? undefined : layout.stderr,
    stdin: spec.stdin ? layout.stdin : undefined,
    stdinOnce: spec.stdinOnce,
    logPath: spec.logPath,
    closeStdin: () => tasks.closeStdin({ id }),
    onLogFailure: (error) =>
      context.log.error({ container: id, error: messageOf(error) }, "container log not written"),
  });
}

/** The exit comes by Wait and as an event: whichever is first is recorded. */
export function watchExit(
  context: RuntimeContext,
  container: LiveContainer,
  tasks: ShimTasks,
): void {
  const { id } = container.record;
  tasks
    .wait({ id })
    .then((exit) => recordExit(context, container, exit))
    // Most often the connection ended: the shim's watcher decides what that means.
    .catch((error: unknown) =>
      context.log.debug({ container: id, error: messageOf(error) }, "wait ended"),
    );
}

async function rootfsMount(
  context: RuntimeContext,
  snapshotter: "overlayfs" | "erofs",
  container: LiveContainer,
) {
  const { id, sandboxId, spec } = container.record;
  if (snapshotter === "erofs") {
    const source = await context.images.erofs(spec.image.id);
    return { type: "erofs", source, options: ["ro"] };
  }
  const { layer } = containerLayout(context.paths, sandboxId, id);
  const [upper, work] = [join(layer, "upper"), join(layer, "work")];
  await mkdir(upper, { recursive: true, mode: 0o755 });
  await mkdir(work, { recursive: true, mode: 0o711 });
  const { rootfs } = context.images.content(spec.image.id);
  if (rootfs === undefined) {
    throw runtimeError(
      "CONTAINER_CREATE_FAILED",
      "the image is not unpacked: only root can give its files their owners",
      { hint: "Run katasim as root, or use a RuntimeClass with a micro-VM." },
    );
  }
  return {
    type: "overlay",
    source: "overlay",
    options: ["index=off", `workdir=${work}`, `upperdir=${upper}`, `lowerdir=${rootfs}`],
  };
}

/** A connection that ended under the call has a cause of its own: the VM or the shim died. */
function startErrorText(context: RuntimeContext, sandbox: LiveSandbox, error: unknown): string {
  const told = isConnectionLost(error)
    ? readExitReason(sandboxLayout(context.paths, sandbox.record.id).bundle)
    : undefined;
  return told?.reason ?? shimErrorText(error);
}

function startFailed(
  context: RuntimeContext,
  container: LiveContainer,
  message: string,
  cause: unknown,
): SimError {
  container.io?.close();
  const nowMs = context.clock.nowMs();
  context.state.updateContainer(container, {
    state: "exited",
    inShim: false,
    exitCode: startErrorExitCode,
    reason: startErrorReason,
    message,
    // kubelet shows the epoch for a container that never started; containerd sets neither.
    finishedAtMs: nowMs,
  });
  container.markExited();
  return runtimeError("CONTAINER_START_FAILED", message, {
    cause,
    ...(isSimError(cause) && cause.hint ? { hint: cause.hint } : {}),
  });
}
