/** The node agent, as the composition root sees it. */
export { createNodeAgent, type NodeAgent, type NodeAgentOptions } from "./agent.ts";
export { kubeletAddressAnnotation, kubeletVersion, nodeInternalIp } from "./node/node-object.ts";
export { defaultVmSize, findVmSize, type VmSizeFacts, vmSizes } from "./node/vm-sizes.ts";
