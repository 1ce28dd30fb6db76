/**
 * Error codes of the shim. `grpcCode` is what a ttrpc caller sees (google.rpc.Code); the text is
 * what reaches the pod's events, so it says what failed and why in whole words.
 */
import { type ErrorTable, errorFactory, isSimError, messageOf } from "../common/errors.ts";

/** google.rpc.Code, as far as containerd's shims use it. */
export const GrpcCode = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

const table = {
  // The command line and what containerd hands over.
  BAD_ARGUMENTS: { kind: "user", grpcCode: GrpcCode.invalidArgument },
  BAD_OPTIONS: { kind: "user", grpcCode: GrpcCode.invalidArgument },
  BAD_BUNDLE: { kind: "user", grpcCode: GrpcCode.invalidArgument },
  BAD_ROOTFS: { kind: "user", grpcCode: GrpcCode.invalidArgument },
  MOUNT_NOT_SHARED: { kind: "user", grpcCode: GrpcCode.invalidArgument },
  POD_TOO_SMALL: { kind: "user", grpcCode: GrpcCode.invalidArgument },
  VM_SIZE: { kind: "user", grpcCode: GrpcCode.failedPrecondition },
  HOST_NETWORK: { kind: "user", grpcCode: GrpcCode.invalidArgument },
  // Tasks. The codes are those of containerd-shim-runc-v2.
  TASK_NOT_FOUND: { kind: "user", grpcCode: GrpcCode.notFound },
  TASK_EXISTS: { kind: "user", grpcCode: GrpcCode.alreadyExists },
  TASK_WRONG_STATE: { kind: "user", grpcCode: GrpcCode.failedPrecondition },
  PROCESS_FINISHED: { kind: "user", grpcCode: GrpcCode.notFound },
  EXEC_FAILED: { kind: "user", grpcCode: GrpcCode.unknown },
  NOT_SIMULATED: { kind: "user", grpcCode: GrpcCode.unimplemented },
  // This machine.
  VMM_MISSING: { kind: "environment", grpcCode: GrpcCode.failedPrecondition },
  VMM_START_FAILED: { kind: "environment", grpcCode: GrpcCode.unavailable },
  VMM_CONTROL: { kind: "environment", grpcCode: GrpcCode.unavailable },
  VMM_GONE: { kind: "environment", grpcCode: GrpcCode.unavailable },
  ACCELERATOR_UNUSABLE: { kind: "environment", grpcCode: GrpcCode.failedPrecondition },
  RUNG_REQUIRED: { kind: "environment", grpcCode: GrpcCode.failedPrecondition },
  GUEST_FILES: { kind: "environment", grpcCode: GrpcCode.failedPrecondition },
  HOST_MEMORY: { kind: "environment", grpcCode: GrpcCode.resourceExhausted },
  NETWORK: { kind: "environment", grpcCode: GrpcCode.unavailable },
  DISK: { kind: "environment", grpcCode: GrpcCode.unavailable },
  ROOTFS_SPACE: { kind: "environment", grpcCode: GrpcCode.resourceExhausted },
  STDIO: { kind: "environment", grpcCode: GrpcCode.unavailable },
  TEMPLATE_BUSY: { kind: "environment", grpcCode: GrpcCode.unavailable },
  // The guest.
  GUEST_BOOT_TIMEOUT: { kind: "environment", grpcCode: GrpcCode.deadlineExceeded },
  GUEST_TIMEOUT: { kind: "environment", grpcCode: GrpcCode.deadlineExceeded },
  GUEST_PROTOCOL: { kind: "environment", grpcCode: GrpcCode.internal },
  GUEST_REFUSED: { kind: "environment", grpcCode: GrpcCode.unknown },
  GUEST_GONE: { kind: "environment", grpcCode: GrpcCode.unavailable },
  // ttrpc itself.
  TTRPC_STATUS: { kind: "environment" },
  TTRPC_FRAME: { kind: "bug", grpcCode: GrpcCode.internal },
  TTRPC_CLOSED: { kind: "environment", grpcCode: GrpcCode.unavailable },
  TTRPC_TIMEOUT: { kind: "environment", grpcCode: GrpcCode.deadlineExceeded },
} as const satisfies ErrorTable;

export type ShimErrorCode = keyof typeof table;

export const shimError = errorFactory(table);

export function hasCode(error: unknown, code: ShimErrorCode): boolean {
  return isSimError(error) && error.code === code;
}

/** What a ttrpc caller gets: the whole sentence, with the hint, and never a stack. */
export function statusOf(error: unknown): { readonly code: number; readonly message: string } {
  if (!isSimError(error)) return { code: GrpcCode.unknown, message: messageOf(error) };
  const hint = error.hint === undefined ? "" : ` (${error.hint})`;
  return {
    code: error.definition.grpcCode ?? GrpcCode.unknown,
    message: `${error.message}${hint}`,
  };
}
