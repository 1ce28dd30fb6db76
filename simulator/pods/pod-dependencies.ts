/** What the pod workers of one node share. */
import type { Backoff } from "../../common/backoff.ts";
import type { Clock } from "../../common/clock.ts";
import type { Logger } from "../../common/log.ts";
import type { Paths } from "../../common/paths.ts";
import type { ClusterPort } from "../cluster-port.ts";
import type { EventRecorder } from "../events/recorder.ts";
import type { ContainerRuntime, HandlerStatus, ImageService } from "../runtime-port.ts";
import type { PodVolumes } from "../volumes/index.ts";
import type { ClusterData } from "./cluster-data.ts";
import type { PodFacts } from "./field-ref.ts";
import type { HostMemory } from "./host-memory.ts";
import type { PodRecord } from "./pod-record.ts";
import type { StartGates } from "./start-place.ts";

export interface NodeFacts {
  readonly name: string;
  readonly hostIp: string;
  readonly memoryCapacityBytes: number;
  readonly allocatable: PodFacts["allocatable"];
  readonly maxPods: number;
  /** Whether the network opens hostPorts. */
  readonly hostPorts: boolean;
}

export interface PodDependencies {
  readonly cluster: ClusterPort;
  readonly runtime: ContainerRuntime;
  readonly images: ImageService;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly paths: Pick<Paths, "pods" | "podLogs">;
  readonly node: NodeFacts;
  readonly data: ClusterData;
  readonly volumes: PodVolumes;
  readonly memory: HostMemory;
  readonly starts: StartGates;
  /** What the runtime said of a handler; undefined when it has no such handler. */
  handler(name: string): HandlerStatus | undefined;
  readonly containerBackoff: Backoff;
  readonly imageBackoff: Backoff;
  readonly mountBackoff: Backoff;
  /** Every pod of this node that is still to run or running; for admission. */
  activePods(): readonly PodRecord[];
}
