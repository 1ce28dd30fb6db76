/** Docker Engine as a runtime of trusted pods. */
export { createDockerRuntime, type DockerRuntimeOptions } from "./docker-runtime.ts";
export { sweepEngine } from "./engine-choice.ts";
export { dockerHandlerStatus } from "./handler-status.ts";
