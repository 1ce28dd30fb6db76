/** What every part of the adapter works with; made once in `docker-runtime.ts`. */
import type { Clock } from "../../common/clock.ts";
import type { Logger } from "../../common/log.ts";
import type { Paths } from "../../common/paths.ts";
import type { ImageStore } from "../images/index.ts";
import type { RuntimeEvent } from "../runtime-port.ts";
import type { DockerState } from "./docker-state.ts";
import type { DockerEngine } from "./engine.ts";
import type { EngineImages } from "./engine-images.ts";

export interface DockerContext {
  readonly paths: Paths;
  readonly images: ImageStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly state: DockerState;
  emit(event: RuntimeEvent): void;
}

/** The same, once there is an engine to talk to. */
export interface EngineContext extends DockerContext {
  readonly engine: DockerEngine;
  readonly engineImages: EngineImages;
  /** The lowest OOM score the engine can give: it fails on a lower one. */
  readonly minOomScoreAdj: number;
}
