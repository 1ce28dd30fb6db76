/**
 * metav1.Status objects: the last word of exec and attach.
 * Source: k8s.io/kubelet pkg/cri/streaming/remotecommand.
 */
export interface Status {
  readonly metadata: Record<string, never>;
  readonly status: "Success" | "Failure";
  readonly message?: string;
  readonly reason?: string;
  readonly details?: {
    readonly causes: ReadonlyArray<{ readonly reason?: string; readonly message: string }>;
  };
  readonly code?: number;
}

export const successStatus: Status = { metadata: {}, status: "Success" };

/** Clients want both the reason and the cause: without either, "error stream protocol error". */
export function exitCodeStatus(command: readonly string[], exitCode: number): Status {
  if (exitCode === 0) return successStatus;
  const error = `error executing command [${command.join(" ")}], exit code ${exitCode}`;
  return {
    metadata: {},
    status: "Failure",
    message: `command terminated with non-zero exit code: ${error}`,
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: String(exitCode) }] },
  };
}

/** apimachinery errors.NewInternalError. */
export function internalErrorStatus(message: string): Status {
  return {
    metadata: {},
    status: "Failure",
    message: `Internal error occurred: ${message}`,
    reason: "InternalError",
    details: { causes: [{ message }] },
    code: 500,
  };
}
