/** Pod network of the node: namespaces, bridge, addresses. */
export {
  createPodNetwork,
  defaultPodCidr,
  type PodAttachment,
  type PodNetwork,
  type PodNetworkOptions,
} from "./pod-network.ts";
export { resolvConf } from "./resolv-conf.ts";
