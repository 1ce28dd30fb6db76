/**
 * The errors that decoding, patching and schemas raise. A table of its own, part of the API layer's:
 * everything here is the caller's mistake and translates to one Kubernetes Status by its definition.
 */
import { errorFactory } from "../../../common/errors.ts";

export const requestErrors = {
  /** The body or patch cannot be read. */
  BAD_REQUEST: { kind: "user", httpStatus: 400, reason: "BadRequest" },
  /** The body can be read and is refused. */
  INVALID: { kind: "user", httpStatus: 422, reason: "Invalid" },
  /** Content-Type is none this route accepts. */
  UNSUPPORTED_MEDIA_TYPE: { kind: "user", httpStatus: 415, reason: "UnsupportedMediaType" },
  /** A document is larger or deeper than the server reads. */
  REQUEST_TOO_LARGE: { kind: "user", httpStatus: 413, reason: "RequestEntityTooLarge" },
} as const;

export const requestError = errorFactory(requestErrors);
