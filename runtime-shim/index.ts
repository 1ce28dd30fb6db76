/**
 * All that other layers may use of the shim: the ttrpc wire and containerd's messages, the sizing
 * arithmetic, and the records the shim leaves on disk. The shim itself is a program of its own.
 */

export * from "../proto/containerd/gen/bootstrap_pb.js";
export * as cgroupsV1 from "../proto/containerd/gen/cgroups_v1_pb.js";
export * as cgroupsV2 from "../proto/containerd/gen/cgroups_v2_pb.js";
export * as events from "../proto/containerd/gen/events_pb.js";
export * from "../proto/containerd/gen/events_service_pb.js";
export { type Mount, MountSchema } from "../proto/containerd/gen/mount_pb.js";
export * as runcOptions from "../proto/containerd/gen/runc_options_pb.js";
export * as runtimeOptions from "../proto/containerd/gen/runtime_options_pb.js";
export * from "../proto/containerd/gen/task_pb.js";
export { Status as TaskStatus } from "../proto/containerd/gen/task_types_pb.js";
export { GrpcCode } from "./errors.ts";
export {
  among,
  chooseRung,
  meets,
  type RungStatus,
  rungName,
} from "./hypervisors/ladder.ts";
export { probeLadder } from "./hypervisors/probe/probe.ts";
export { addressAnnotation } from "./network/user-network.ts";
export { SeccompSchema } from "./oci/seccomp.ts";
export { type ExitReason, readExitReason, readVmRecord } from "./service/bundle-files.ts";
export { spareFoldersOf } from "./service/state-file.ts";
export { type ShimOptions, ShimOptionsSchema, type VmRecord } from "./shim-options.ts";
export { firstTakeMib } from "./sizing/first-take.ts";
export { type SizingProfile, type SizingProfileName, sizingProfiles } from "./sizing/profiles.ts";
export {
  type PodLimits,
  podLimitsFromAmounts,
  podLimitsFromAnnotations,
  sizeVm,
  type VmSize,
} from "./sizing/vm-size.ts";
export {
  createTemplateCatalog,
  type ListedTemplate,
  type TemplateCatalog,
  type TemplateNic,
} from "./templates/template-catalog.ts";
export {
  type CallOptions,
  connectTtrpc,
  grpcCodeOf,
  socketPathOf,
  type TtrpcClient,
} from "./ttrpc/client.ts";
export {
  type CallContext,
  createTtrpcServer,
  type ServiceHandlers,
  type TtrpcServer,
} from "./ttrpc/server.ts";
export type { PrepareOrder, StartOrder } from "./verbs/spare.ts";
export { fsGroupAnnotation } from "./volumes/guest-owner.ts";
export {
  emptyDirSizesAnnotation,
  sharedFoldersAnnotation,
  wantsSharedFolders,
} from "./volumes/volume-annotations.ts";
