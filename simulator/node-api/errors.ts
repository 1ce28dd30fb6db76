/** Codes of what the kubelet endpoints refuse, with the HTTP statuses the real kubelet answers. */
import { errorFactory, isSimError } from "../../common/errors.ts";

const nodeApiErrors = {
  UNAUTHORIZED: { kind: "user", httpStatus: 401 },
  ROUTE_NOT_FOUND: { kind: "user", httpStatus: 404 },
  METHOD_NOT_ALLOWED: { kind: "user", httpStatus: 405 },
  POD_NOT_FOUND: { kind: "user", httpStatus: 404 },
  LOG_CONTAINER_NOT_FOUND: { kind: "user", httpStatus: 404 },
  // The kubelet answers 500 where exec or attach name a container that does not run.
  EXEC_CONTAINER_NOT_FOUND: { kind: "user", httpStatus: 500 },
  SANDBOX_NOT_FOUND: { kind: "user", httpStatus: 500 },
  BAD_OPTIONS: { kind: "user", httpStatus: 400 },
  LOGS_NOT_AVAILABLE: { kind: "user", httpStatus: 400 },
  UPGRADE_REQUIRED: { kind: "user", httpStatus: 400 },
  PROTOCOL_NOT_SUPPORTED: { kind: "user", httpStatus: 403 },
  STREAMS_TIMEOUT: { kind: "user", httpStatus: 408 },
} as const;

export const nodeApiError = errorFactory(nodeApiErrors);

export function httpStatusOf(error: unknown): number {
  return (isSimError(error) ? error.definition.httpStatus : undefined) ?? 500;
}
