/** Stops and removes every sandbox of the instance, side by side: what `down` and Ctrl-C do to pods. */
import { messageOf } from "../../common/errors.ts";
import type { ContainerRuntime, SandboxStatus } from "../../simulator/runtime-port.ts";

export interface StoppedPods {
  readonly stopped: number;
  /** What could not be removed, in words. */
  readonly failures: readonly string[];
}

/** `graceMs` is how long processes get between SIGTERM and SIGKILL. The runtime must have recovered. */
export async function stopPods(
  runtime: Pick<
    ContainerRuntime,
    "listSandboxes" | "listContainers" | "stopContainer" | "stopSandbox" | "removeSandbox"
  >,
  graceMs: number,
): Promise<StoppedPods> {
  const sandboxes = await runtime.listSandboxes();
  const failures: string[] = [];
  await Promise.all(
    sandboxes.map(async (sandbox) => {
      // A step that fails must not keep the later ones from trying: the last one kills everything.
      await attempt(sandbox, "stopping its containers", failures, async () => {
        const containers = await runtime.listContainers(sandbox.id);
        await Promise.all(containers.map(({ id }) => runtime.stopContainer(id, graceMs)));
      });
      await attempt(sandbox, "stopping it", failures, () => runtime.stopSandbox(sandbox.id));
      await attempt(sandbox, "removing it", failures, () => runtime.removeSandbox(sandbox.id));
    }),
  );
  return { stopped: sandboxes.length, failures };
}

async function attempt(
  sandbox: SandboxStatus,
  act: string,
  failures: string[],
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    failures.push(`sandbox ${sandbox.id.slice(0, 12)}: ${act} failed: ${messageOf(error)}`);
  }
}
