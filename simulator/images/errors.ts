/** Error codes of the image store. `reason` is kubelet's word for it (pkg/kubelet/images/types.go). */
import { errorFactory } from "../../common/errors.ts";

export const imageError = errorFactory({
  IMAGE_NAME_INVALID: { kind: "user", reason: "InvalidImageName" },
  IMAGE_PULL_FAILED: { kind: "environment", reason: "ErrImagePull" },
  REGISTRY_UNAVAILABLE: { kind: "environment", reason: "ErrImagePull" },
  IMAGE_NOT_FOUND: { kind: "user", reason: "ErrImagePull", exitCode: 4 },
  IMAGE_INVALID: { kind: "user", reason: "ErrImagePull" },
  IMAGE_SOURCE_INVALID: { kind: "user" },
  IMAGE_IN_USE: { kind: "user", exitCode: 1 },
  IMAGE_STORE_FULL: { kind: "environment", reason: "ErrImagePull" },
  IMAGE_TOOL_MISSING: { kind: "environment", reason: "ErrImagePull" },
  DOCKER_ENGINE_FAILED: { kind: "environment" },
});
