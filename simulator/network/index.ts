/** Pod network of the node: namespaces, cables, addresses. */
export { createCniNetwork } from "./cni-network.ts";
export type { NodeNetworkFacts, PodAttachment, PodIdentity, PodNetwork } from "./pod-network.ts";
export { resolvConf } from "./resolv-conf.ts";
