/** What every part of the adapter works with; made once in `container-runtime.ts`. */
import type { Any } from "@bufbuild/protobuf/wkt";
import type { Clock } from "../../common/clock.ts";
import type { Logger } from "../../common/log.ts";
import type { Paths } from "../../common/paths.ts";
import type { ImageStore } from "../images/index.ts";
import type { PodNetwork } from "../network/index.ts";
import type { RuntimeEvent } from "../runtime-port.ts";
import type { HandlerConfig } from "./handler-table.ts";
import type { HostLimits } from "./host-limits.ts";
import type { KataAssessment } from "./kata/assessment.ts";
import type { LiveState } from "./live-state.ts";
import type { SandboxRecord } from "./records.ts";
import type { ShimCommand } from "./shim-binary.ts";
import type { SpareShims } from "./spare-shims.ts";

export interface RuntimeContext {
  readonly paths: Paths;
  readonly images: ImageStore;
  readonly network: PodNetwork;
  readonly clock: Clock;
  readonly log: Logger;
  readonly state: LiveState;
  /** containerd namespace of this node's tasks. */
  readonly namespace: string;
  readonly cgroupVersion: 1 | 2;
  /** What containers of this handler can be given. */
  limits(handler: HandlerConfig): HostLimits;
  handler(name: string): HandlerConfig;
  /** Of a sandbox that is there: by the shim that runs it, whatever the handler's is now. */
  handlerOf(record: Pick<SandboxRecord, "handler" | "kata">): HandlerConfig;
  /** Rejects with SHIM_MISSING, naming the package that has it. */
  command(handler: HandlerConfig): Promise<ShimCommand>;
  options(handler: HandlerConfig, kataConfiguration?: string): Any;
  /** Looks for all that genuine Kata needs. */
  assessKata(configFile: string | undefined): Promise<KataAssessment>;
  /** Why this process may not run pods on the handler; undefined when it may. */
  obstacle(handler: HandlerConfig): string | undefined;
  wantsBootstrapParams(handler: HandlerConfig): Promise<boolean>;
  /** What waits for sandboxes of ours; absent where nothing is to. */
  readonly spares: SpareShims | undefined;
  emit(event: RuntimeEvent): void;
}
