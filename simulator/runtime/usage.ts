/** CPU and memory of containers out of the shims' Stats, in the form of either cgroup version. */
import { fromBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { MetricsSchema as MetricsV1Schema } from "../../proto/containerd/gen/cgroups_v1_pb.js";
import { MetricsSchema as MetricsV2Schema } from "../../proto/containerd/gen/cgroups_v2_pb.js";
import type { ContainerUsage } from "../runtime-port.ts";
import type { LiveSandbox } from "./live-state.ts";

/** Running containers only; one that ends meanwhile is left out. */
export async function sandboxUsage(sandbox: LiveSandbox): Promise<readonly ContainerUsage[]> {
  const { tasks } = sandbox;
  if (tasks === undefined) return [];
  const running = [...sandbox.containers.values()].filter(
    ({ record }) => record.state === "running",
  );
  const all = await Promise.all(
    running.map(async ({ record }) => {
      const stats = await tasks.stats(record.id).catch(() => undefined);
      const amounts = stats === undefined ? undefined : amountsOf(stats);
      if (amounts === undefined) return undefined;
      return { containerId: record.id, name: record.spec.name, ...amounts };
    }),
  );
  return all.filter((usage) => usage !== undefined);
}

type Amounts = Pick<ContainerUsage, "cpuUsageNs" | "memoryWorkingSetBytes">;

/** Working set = usage without inactive file pages, as cAdvisor and the CRI plugin count it. */
export function amountsOf(stats: Any): Amounts | undefined {
  if (stats.typeUrl.endsWith("io.containerd.cgroups.v1.Metrics")) {
    const { cpu, memory } = fromBinary(MetricsV1Schema, stats.value);
    return amounts(
      cpu?.usage?.total,
      memory?.usage?.usage,
      memory?.totalInactiveFile || memory?.inactiveFile,
    );
  }
  if (stats.typeUrl.endsWith("io.containerd.cgroups.v2.Metrics")) {
    const { cpu, memory } = fromBinary(MetricsV2Schema, stats.value);
    return amounts((cpu?.usageUsec ?? 0n) * 1000n, memory?.usage, memory?.inactiveFile);
  }
  return undefined;
}

function amounts(
  cpuNs: bigint | undefined,
  usage: bigint | undefined,
  inactiveFile: bigint | undefined,
): Amounts {
  const workingSet = (usage ?? 0n) - (inactiveFile ?? 0n);
  return {
    cpuUsageNs: Number(cpuNs ?? 0n),
    memoryWorkingSetBytes: Number(workingSet < 0n ? 0n : workingSet),
  };
}
