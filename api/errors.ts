/**
 * The error codes of the API layer. The boundary (`api/kubernetes/http/status.ts`) turns them into
 * Kubernetes Status objects; the reasons are those of apimachinery's metav1.StatusReason.
 */
import { type ErrorTable, errorFactory } from "../common/errors.ts";

export const apiErrors = {
  BAD_REQUEST: { kind: "user", httpStatus: 400, reason: "BadRequest" },
  UNAUTHORIZED: { kind: "user", httpStatus: 401, reason: "Unauthorized" },
  FORBIDDEN: { kind: "user", httpStatus: 403, reason: "Forbidden" },
  NOT_FOUND: { kind: "user", httpStatus: 404, reason: "NotFound" },
  METHOD_NOT_ALLOWED: { kind: "user", httpStatus: 405, reason: "MethodNotAllowed" },
  NOT_ACCEPTABLE: { kind: "user", httpStatus: 406, reason: "NotAcceptable" },
  ALREADY_EXISTS: { kind: "user", httpStatus: 409, reason: "AlreadyExists" },
  CONFLICT: { kind: "user", httpStatus: 409, reason: "Conflict" },
  EXPIRED: { kind: "user", httpStatus: 410, reason: "Expired" },
  REQUEST_TOO_LARGE: { kind: "user", httpStatus: 413, reason: "RequestEntityTooLarge" },
  UNSUPPORTED_MEDIA_TYPE: { kind: "user", httpStatus: 415, reason: "UnsupportedMediaType" },
  INVALID: { kind: "user", httpStatus: 422, reason: "Invalid" },
  INTERNAL: { kind: "bug", httpStatus: 500, reason: "InternalError" },
  /** The node agent's endpoint did not answer. */
  NODE_UNREACHABLE: { kind: "environment", httpStatus: 500, reason: "InternalError" },
  /** What a real cluster does and this one refuses to pretend. */
  NOT_SIMULATED: { kind: "user", httpStatus: 501, reason: "NotImplemented" },
  SERVICE_UNAVAILABLE: { kind: "environment", httpStatus: 503, reason: "ServiceUnavailable" },
  TIMEOUT: { kind: "user", httpStatus: 504, reason: "Timeout" },
  STORE_FULL: { kind: "environment", httpStatus: 507, reason: "InsufficientStorage", exitCode: 1 },
  STORE_CORRUPT: { kind: "environment", httpStatus: 500, reason: "InternalError", exitCode: 1 },
  STORE_UNAVAILABLE: { kind: "environment", httpStatus: 500, reason: "InternalError" },
  PKI_UNREADABLE: { kind: "environment", httpStatus: 500, reason: "InternalError" },
  PORT_IN_USE: { kind: "environment", httpStatus: 500, reason: "InternalError" },
  LISTEN_FAILED: { kind: "environment", httpStatus: 500, reason: "InternalError" },
} as const satisfies ErrorTable;

export type ApiErrorCode = keyof typeof apiErrors;

/** Makes a SimError of this layer. `details` becomes the Status' `details`. */
export const apiError = errorFactory(apiErrors);
