/** Error codes of the node agent. */
import { errorFactory } from "../common/errors.ts";

export const agentError = errorFactory({
  /** A container's configuration cannot be composed: CreateContainerConfigError. */
  CONTAINER_CONFIG: { kind: "user" },
  /** A volume cannot be set up: FailedMount. */
  VOLUME_SETUP: { kind: "user" },
  /** The pod asks for something this node does not do; it is refused for good. */
  POD_UNSUPPORTED: { kind: "user" },
  VM_SIZE_UNKNOWN: { kind: "user" },
  NODE_REGISTRATION: { kind: "environment" },
});
