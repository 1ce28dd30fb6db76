/** Makes and ends sandboxes: the instance's network, the pause container and the pod's files. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isSimError, messageOf } from "../../common/errors.ts";
import type { Paths } from "../../common/paths.ts";
import { resolvConf } from "../network/index.ts";
import { runtimeError } from "../runtime/errors.ts";
import type { SandboxSpec } from "../runtime-port.ts";
import { pauseBody } from "./container-body.ts";
import { lookAt, stopContainer } from "./container-end.ts";
import type { EngineContext } from "./context.ts";
import type { DockerSandbox } from "./docker-state.ts";
import { instanceLabels, sandboxLabels } from "./labels.ts";
import { containerName } from "./names.ts";

const sigkill = 9;

/** The engine's network of an instance: pods get their addresses from it and reach each other. */
export function networkName({ machineName }: Pick<Paths, "machineName">): string {
  return `katasim-${machineName}`;
}

export function resolvConfFile(paths: Pick<Paths, "sandboxes">, sandboxId: string): string {
  return join(paths.sandboxes, sandboxId, "resolv.conf");
}

/** Rejects with SANDBOX_CREATE_FAILED after clearing everything away again. */
export async function runSandbox(
  context: EngineContext,
  handler: string,
  spec: SandboxSpec,
  signal?: AbortSignal,
): Promise<DockerSandbox> {
  refuseUnsupported(spec);
  const { engine, paths, state } = context;
  const network = networkName(paths);
  const kept = {
    handler,
    podName: spec.podName,
    podNamespace: spec.podNamespace,
    podUid: spec.podUid,
    attempt: spec.attempt,
    hostname: spec.hostname,
    hostPid: spec.hostPid,
    hostIpc: spec.hostIpc,
    shareProcessNamespace: spec.shareProcessNamespace,
  };
  let id: string | undefined;
  try {
    const [image] = await Promise.all([
      context.engineImages.ensurePause(),
      engine.ensureNetwork(network, instanceLabels(paths)),
    ]);
    signal?.throwIfAborted();
    id = await engine.createContainer(
      containerName("POD", kept),
      pauseBody({
        image,
        spec,
        network,
        labels: sandboxLabels(paths, kept),
        minOomScoreAdj: context.minOomScoreAdj,
      }),
    );
    await mkdir(join(paths.sandboxes, id), { recursive: true, mode: 0o711 });
    // Read by any user in the containers.
    await writeFile(resolvConfFile(paths, id), resolvConf(spec.dns), { mode: 0o644 });
    signal?.throwIfAborted();
    await engine.startContainer(id);
    const facts = await engine.inspectContainer(id);
    if (facts?.status !== "running") throw new Error("the pause container ended at once");
    signal?.throwIfAborted();
    return state.addSandbox(facts, kept);
  } catch (error) {
    if (id !== undefined) {
      await engine
        .removeContainer(id)
        .catch((cleanup: unknown) =>
          context.log.error({ sandbox: id, error: messageOf(cleanup) }, "cleanup failed"),
        );
      await rm(join(paths.sandboxes, id), { recursive: true, force: true });
    }
    signal?.throwIfAborted();
    if (isSimError(error) && error.code.startsWith("SANDBOX_")) throw error;
    throw runtimeError(
      "SANDBOX_CREATE_FAILED",
      `failed to create a sandbox for pod "${spec.podName}": ${messageOf(error)}`,
      { cause: error, ...(isSimError(error) && error.hint ? { hint: error.hint } : {}) },
    );
  }
}

/** The other adapter joins the simulated node's network; the engine only knows the machine's own. */
function refuseUnsupported(spec: SandboxSpec): void {
  if (!spec.hostNetwork) return;
  throw runtimeError(
    "SANDBOX_UNSUPPORTED",
    "Docker Engine cannot join the simulated node's network, and the machine's own is never given to pods: hostNetwork",
    { hint: "Leave hostNetwork out, or run katasim as root with --trusted-runtime shim." },
  );
}

/** Ends everything the sandbox runs; containers stay in the engine with their exit codes. */
export async function stopSandbox(context: EngineContext, sandbox: DockerSandbox): Promise<void> {
  sandbox.closing = true;
  const containers = [...sandbox.containers.values()];
  // Side by side, and each although another failed: the first failure is the one to tell.
  const stops = await Promise.allSettled(
    containers.map(async (container) => {
      await stopContainer(context, container, 0);
      await lookAt(context, container);
    }),
  );
  await context.engine.killContainer(sandbox.id, sigkill);
  sandbox.state = "notready";
  sandbox.ip = undefined;
  for (const stop of stops) if (stop.status === "rejected") throw stop.reason;
}

/** Leaves nothing of it. */
export async function removeSandbox(context: EngineContext, sandbox: DockerSandbox): Promise<void> {
  const { engine, paths, state } = context;
  sandbox.closing = true;
  await Promise.all([...sandbox.containers.keys()].map((id) => engine.removeContainer(id)));
  await engine.removeContainer(sandbox.id);
  await rm(join(paths.sandboxes, sandbox.id), { recursive: true, force: true });
  state.dropSandbox(sandbox.id);
}
