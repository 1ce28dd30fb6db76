/** Error codes of the runtime adapter. `reason` is kubelet's word for it, where it has one. */
import { errorFactory } from "../../common/errors.ts";

export const runtimeError = errorFactory({
  HANDLER_UNKNOWN: { kind: "user", reason: "FailedCreatePodSandBox" },
  HANDLER_UNUSABLE: { kind: "environment", reason: "FailedCreatePodSandBox" },
  KATA_CONFIGURATION: { kind: "user", reason: "FailedCreatePodSandBox" },
  SANDBOX_CREATE_FAILED: { kind: "environment", reason: "FailedCreatePodSandBox" },
  SANDBOX_UNSUPPORTED: { kind: "user", reason: "FailedCreatePodSandBox" },
  SANDBOX_NOT_FOUND: { kind: "user" },
  SANDBOX_NOT_READY: { kind: "environment" },
  CONTAINER_NOT_FOUND: { kind: "user" },
  CONTAINER_WRONG_STATE: { kind: "user" },
  CONTAINER_CONFIG: { kind: "user", reason: "CreateContainerConfigError" },
  CONTAINER_CREATE_FAILED: { kind: "user", reason: "CreateContainerError" },
  CONTAINER_START_FAILED: { kind: "user", reason: "RunContainerError" },
  EXEC_FAILED: { kind: "user" },
  PORT_FORWARD_FAILED: { kind: "environment" },
  SHIM_MISSING: { kind: "environment" },
  SHIM_START_FAILED: { kind: "environment" },
  SHIM_ANSWER_INVALID: { kind: "bug" },
  HOST_COMMAND_FAILED: { kind: "environment" },
});
