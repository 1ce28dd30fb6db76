/** Codes of what the kubelet endpoints refuse, with the HTTP statuses the real kubelet answers. */
import { errorFactory } from "../../common/errors.ts";

export const nodeApiErrors = {
  UNAUTHORIZED: { kind: "user", httpStatus: 401, reason: "Unauthorized" },
  ROUTE_NOT_FOUND: { kind: "user", httpStatus: 404, reason: "NotFound" },
  METHOD_NOT_ALLOWED: { kind: "user", httpStatus: 405, reason: "MethodNotAllowed" },
  POD_NOT_FOUND: { kind: "user", httpStatus: 404, reason: "NotFound" },
  LOG_CONTAINER_NOT_FOUND: { kind: "user", httpStatus: 404, reason: "NotFound" },
  // The kubelet answers 500 where exec or attach name a container that does not run.
  EXEC_CONTAINER_NOT_FOUND: { kind: "user", httpStatus: 500, reason: "InternalError" },
  SANDBOX_NOT_FOUND: { kind: "user", httpStatus: 500, reason: "InternalError" },
  BAD_OPTIONS: { kind: "user", httpStatus: 400, reason: "BadRequest" },
  LOGS_NOT_AVAILABLE: { kind: "user", httpStatus: 400, reason: "BadRequest" },
  UPGRADE_REQUIRED: { kind: "user", httpStatus: 400, reason: "BadRequest" },
  PROTOCOL_NOT_SUPPORTED: { kind: "user", httpStatus: 403, reason: "Forbidden" },
  STREAMS_TIMEOUT: { kind: "user", httpStatus: 408, reason: "Timeout" },
} as const;

export const nodeApiError = errorFactory(nodeApiErrors);
