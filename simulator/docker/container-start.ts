/** Creates and starts a pod's containers in the engine. */
import { isSimError, messageOf } from "../../common/errors.ts";
import { containerUser } from "../runtime/container-user.ts";
import { runtimeError } from "../runtime/errors.ts";
import { localhostSeccomp } from "../runtime/localhost-seccomp.ts";
import { environment, processArgs } from "../runtime/process-args.ts";
import { readInRoot } from "../runtime/rootfs-file.ts";
import { signalNumber } from "../runtime/signals.ts";
import type { ContainerSpec } from "../runtime-port.ts";
import { containerBody } from "./container-body.ts";
import { followLog } from "./container-end.ts";
import type { EngineContext } from "./context.ts";
import type { DockerContainer, DockerSandbox } from "./docker-state.ts";
import { containerLabels } from "./labels.ts";
import { containerName } from "./names.ts";
import { resolvConfFile } from "./sandbox-lifecycle.ts";

// As containerd's CRI part tells a start that failed (runtime/container-start.ts).
export const startErrorExitCode = 128;
export const startErrorReason = "StartError";

/** Nothing runs yet. Rejects with CONTAINER_CONFIG or CONTAINER_CREATE_FAILED. */
export async function createContainer(
  context: EngineContext,
  sandbox: DockerSandbox,
  spec: ContainerSpec,
): Promise<DockerContainer> {
  if (sandbox.state !== "ready") {
    throw runtimeError("SANDBOX_NOT_READY", `sandbox container "${sandbox.id}" is not running`);
  }
  const { engine, paths } = context;
  const pod = sandbox.kept;
  const { config, accounts } = context.images.content(spec.image.id);
  const user = containerUser(spec.security, config, {
    passwd: await readInRoot(accounts, "/etc/passwd"),
    group: await readInRoot(accounts, "/etc/group"),
  });
  const { name, attempt, image, logPath, tty, stdin, stdinOnce } = spec;
  const stopSignal = signalNumber(config.config?.StopSignal ?? undefined);
  const kept = { name, attempt, image, logPath, tty, stdin, stdinOnce, stopSignal };
  const args = processArgs(spec, config);
  const profile = await localhostSeccomp(paths.seccomp, spec.security.seccomp);
  try {
    const id = await engine.createContainer(
      containerName(name, pod),
      containerBody({
        image: await context.engineImages.ensure(image.id),
        sandboxId: sandbox.id,
        sandbox: pod,
        spec,
        args,
        env: environment({ image: config, hostname: pod.hostname, tty, env: spec.env }),
        cwd: spec.workingDir || config.config?.WorkingDir || "/",
        user: { uid: user.uid, gid: user.gid, groups: user.additionalGids ?? [] },
        resolvConf: resolvConfFile(paths, sandbox.id),
        localhostSeccomp: profile === undefined ? undefined : JSON.stringify(profile),
        labels: containerLabels(paths, sandbox.id, pod, kept),
        minOomScoreAdj: context.minOomScoreAdj,
      }),
    );
    const facts = await engine.inspectContainer(id);
    if (facts === undefined) throw new Error("Docker Engine lost the container it had just made");
    return context.state.addContainer(facts, sandbox.id, kept);
  } catch (error) {
    if (isSimError(error) && error.code.startsWith("CONTAINER_")) throw error;
    throw runtimeError(
      "CONTAINER_CREATE_FAILED",
      `failed to create container "${name}": ${messageOf(error)}`,
      { cause: error, ...(isSimError(error) && error.hint ? { hint: error.hint } : {}) },
    );
  }
}

/**
 * Rejects with CONTAINER_START_FAILED in the engine's words; the container then counts as exited
 * with code 128 and reason StartError. A running container is left as it is.
 */
export async function startContainer(
  context: EngineContext,
  container: DockerContainer,
): Promise<void> {
  const { id, status } = container;
  if (status.state === "running") return;
  if (status.state === "exited") {
    throw runtimeError(
      "CONTAINER_WRONG_STATE",
      `container "${id}" has exited and cannot be started again`,
    );
  }
  if (context.state.sandbox(container.sandboxId).state !== "ready") {
    throw runtimeError(
      "SANDBOX_NOT_READY",
      `sandbox container "${container.sandboxId}" is not running`,
    );
  }
  const work = begin(context, container);
  // Whoever hears of its end meanwhile waits until its start is recorded.
  container.starting = work.catch(() => undefined);
  await work;
}

async function begin(context: EngineContext, container: DockerContainer): Promise<void> {
  const { engine } = context;
  try {
    await engine.startContainer(container.id);
  } catch (error) {
    throw startFailed(context, container, error);
  }
  const facts = await engine.inspectContainer(container.id);
  container.status = {
    state: "running",
    startedAtMs: facts?.startedAtMs ?? context.clock.nowMs(),
  };
  followLog(context, container);
}

function startFailed(context: EngineContext, container: DockerContainer, cause: unknown) {
  const message = `failed to start container "${container.kept.name}": ${messageOf(cause)}`;
  container.status = {
    state: "exited",
    exitCode: startErrorExitCode,
    reason: startErrorReason,
    message,
    finishedAtMs: context.clock.nowMs(),
  };
  container.markExited();
  return runtimeError("CONTAINER_START_FAILED", message, {
    cause,
    ...(isSimError(cause) && cause.hint ? { hint: cause.hint } : {}),
  });
}
