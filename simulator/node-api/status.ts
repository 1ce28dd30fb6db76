/**
 * metav1.Status objects of the kubelet endpoints: the last word of exec and attach (source:
 * k8s.io/kubelet pkg/cri/streaming/remotecommand), and bodies of refused requests.
 */
import { isSimError, messageOf } from "../../common/errors.ts";

export interface Status {
  readonly kind?: "Status";
  readonly apiVersion?: "v1";
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

/** Any error as the body of an HTTP answer. */
export function statusFromError(error: unknown): Status & { readonly code: number } {
  const definition = isSimError(error) ? error.definition : undefined;
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: messageOf(error),
    reason: definition?.reason ?? "InternalError",
    code: definition?.httpStatus ?? 500,
  };
}
