/** Error codes of the node's pod network. */
import { errorFactory } from "../../common/errors.ts";

export const networkError = errorFactory({
  NETWORK_NEEDS_ROOT: { kind: "environment" },
  NETWORK_SETUP_FAILED: { kind: "environment" },
  ADDRESSES_EXHAUSTED: { kind: "environment" },
  POD_CIDR_INVALID: { kind: "user" },
});
