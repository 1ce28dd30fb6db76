/** Pod network of the node: namespaces, cables, addresses. */
export { type CniAttachment, type CniNetworkOptions, createCniNetwork } from "./cni-network.ts";
export { assertCniNetwork, type CniReport, cniReport } from "./cni-report.ts";
export type { NodeNetworkFacts, PodAttachment, PodIdentity, PodNetwork } from "./pod-network.ts";
export { resolvConf } from "./resolv-conf.ts";
export { createUserNetwork } from "./user-network.ts";
