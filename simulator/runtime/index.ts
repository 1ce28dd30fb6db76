/** Container runtime of the node: containerd's place, in front of any shim v2. */
export { type ContainerRuntimeOptions, createContainerRuntime } from "./container-runtime.ts";
export { foldersBesideProgram, handlerStatus } from "./handler-status.ts";
export {
  builtinHandlers,
  defaultHandler,
  type HandlerConfig,
  type HandlerOptions,
  shimBinaryName,
} from "./handler-table.ts";
export {
  type AssessKataOptions,
  assessKata,
  type KataAssessment,
  problemText,
  proveByLadder,
} from "./kata/assessment.ts";
export { nodeHandlers } from "./kata/choice.ts";
export { sizeKataVm } from "./kata/sizing.ts";
export { sandboxLayout } from "./layout.ts";
export {
  type ContainerRecord,
  openRuntimeRecords,
  type RuntimeRecords,
  type SandboxRecord,
} from "./records.ts";
export { shimVersion } from "./shim-binary.ts";
export type { SpareCounts } from "./spare-shims.ts";
