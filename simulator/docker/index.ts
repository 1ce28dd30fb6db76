/** Docker Engine as a runtime of trusted pods. */
export { createDockerRuntime, type DockerRuntimeOptions } from "./docker-runtime.ts";
export { engineOf, sweepEngine } from "./engine-choice.ts";
export { engineName } from "./find-engine.ts";
export { dockerHandlerStatus } from "./handler-status.ts";
export { ownShimWords } from "./own-shims.ts";
