/** Error codes of the node's pod network. */
import { errorFactory } from "../../common/errors.ts";

export const networkError = errorFactory({
  NETWORK_NEEDS_ROOT: { kind: "environment" },
  NETWORK_SETUP_FAILED: { kind: "environment" },
  NETWORK_TEARDOWN_FAILED: { kind: "environment" },
  ADDRESSES_EXHAUSTED: { kind: "environment" },
  POD_CIDR_INVALID: { kind: "user" },
  POD_CIDR_TAKEN: { kind: "user" },
  CNI_CONFIG_INVALID: { kind: "user" },
  CNI_PLUGIN_MISSING: { kind: "environment" },
  CNI_PLUGIN_FAILED: { kind: "environment" },
});
