/** CPU and memory of a pod's running containers, as the engine measures them. */
import type { ContainerUsage } from "../runtime-port.ts";
import type { EngineContext } from "./context.ts";
import type { DockerSandbox } from "./docker-state.ts";

/** One that ends meanwhile is left out. */
export async function sandboxUsage(
  context: EngineContext,
  sandbox: DockerSandbox,
): Promise<readonly ContainerUsage[]> {
  const running = [...sandbox.containers.values()].filter(
    ({ status }) => status.state === "running",
  );
  const all = await Promise.all(
    running.map(async ({ id, kept }) => {
      const usage = await context.engine.usage(id).catch(() => undefined);
      if (usage === undefined) return undefined;
      const { cpuUsageNs, memoryUsageBytes, inactiveFileBytes } = usage;
      return {
        containerId: id,
        name: kept.name,
        cpuUsageNs,
        // As cAdvisor and the CRI plugin count it.
        memoryWorkingSetBytes: Math.max(memoryUsageBytes - inactiveFileBytes, 0),
      };
    }),
  );
  return all.filter((usage) => usage !== undefined);
}
