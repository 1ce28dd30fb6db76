/**
 * The Node object of an AKS Azure Linux node pool's member. What only Azure could know has plain
 * stand-ins; what the machine knows is true. Pure.
 */

import { formatCpu } from "../../common/quantity.ts";
import type { NodeStatus } from "../../proto/kubernetes/gen/types.ts";
import type { NodeObject } from "../objects.ts";
import type { HandlerStatus } from "../runtime-port.ts";
import type { HostFacts } from "./host-facts.ts";
import { allocatableOf, capacityOf, type NodeCapacity, type VmSizeFacts } from "./vm-sizes.ts";

export interface NodeIdentity {
  readonly nodeName: string;
  readonly vmSize: VmSizeFacts;
  readonly podCidr: string | undefined;
  readonly host: HostFacts;
  readonly handlers: readonly HandlerStatus[];
  readonly kubeletPort: number;
}

/** First address of AKS' default node subnet 10.224.0.0/16 that a node gets. */
export const nodeInternalIp = "10.224.0.4";
/** Genuine Kata serves the handler kata and sizes its sandboxes by this file. */
export const kataConfigurationAnnotation = "katasim.dev/kata-configuration";
/** Where the API server really finds the kubelet endpoints. */
export const kubeletAddressAnnotation = "katasim.dev/kubelet-address";
export const kubeletVersion = "v1.32.4";
const containerdVersion = "containerd://1.7.27";
const region = "eastus";
const resourceGroup = "MC_katasim_katasim_eastus";
const nodeImageVersion = "AKSAzureLinux-V3gen2-simulated";
const zeroSubscription = "00000000-0000-0000-0000-000000000000";

export function nodeLabels({
  nodeName,
  vmSize,
  host,
  handlers,
}: NodeIdentity): Record<string, string> {
  const pool = poolOf(nodeName);
  const sandboxed = handlers.find((handler) => handler.sandboxed && handler.usable);
  return {
    agentpool: pool,
    "beta.kubernetes.io/arch": host.architecture,
    "beta.kubernetes.io/instance-type": vmSize.name,
    "beta.kubernetes.io/os": "linux",
    "failure-domain.beta.kubernetes.io/region": region,
    "failure-domain.beta.kubernetes.io/zone": "0",
    "katasim.dev/simulated": "true",
    ...(sandboxed?.accelerator ? { "katasim.dev/accelerator": sandboxed.accelerator } : {}),
    ...(sandboxed?.hypervisor ? { "katasim.dev/hypervisor": sandboxed.hypervisor } : {}),
    "kubernetes.azure.com/agentpool": pool,
    "kubernetes.azure.com/cluster": resourceGroup,
    "kubernetes.azure.com/kata-mshv-vm-isolation": "true",
    "kubernetes.azure.com/kata-vm-isolation": "true",
    "kubernetes.azure.com/mode": "system",
    "kubernetes.azure.com/node-image-version": nodeImageVersion,
    "kubernetes.azure.com/nodepool-type": "VirtualMachineScaleSets",
    "kubernetes.azure.com/os-sku": "AzureLinux",
    "kubernetes.azure.com/role": "agent",
    "kubernetes.azure.com/storageprofile": "managed",
    "kubernetes.azure.com/storagetier": "Premium_LRS",
    "kubernetes.io/arch": host.architecture,
    "kubernetes.io/hostname": nodeName,
    "kubernetes.io/os": "linux",
    "kubernetes.io/role": "agent",
    "node-role.kubernetes.io/agent": "",
    "node.kubernetes.io/instance-type": vmSize.name,
    storageprofile: "managed",
    storagetier: "Premium_LRS",
    "topology.disk.csi.azure.com/zone": "",
    "topology.kubernetes.io/region": region,
    "topology.kubernetes.io/zone": "0",
  };
}

/** `aks-<pool>-<number>-vmss<index>`: AKS' naming of scale set members. */
function poolOf(nodeName: string): string {
  return /^aks-([a-z0-9]+)-\d+-vmss/.exec(nodeName)?.[1] ?? "nodepool1";
}

function providerId(nodeName: string): string {
  const match = /^(aks-.*-vmss)([0-9a-z]{6})$/.exec(nodeName);
  const scaleSet = match?.[1] ?? nodeName;
  // The six characters are the member's number in base 36.
  const instance = Number.parseInt(match?.[2] ?? "0", 36);
  return `azure:///subscriptions/${zeroSubscription}/resourceGroups/${resourceGroup.toLowerCase()}/providers/Microsoft.Compute/virtualMachineScaleSets/${scaleSet}/virtualMachines/${instance}`;
}

export function nodeObject(identity: NodeIdentity): Omit<NodeObject, "metadata"> & {
  metadata: { name: string; labels: Record<string, string>; annotations: Record<string, string> };
} {
  const { podCidr } = identity;
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name: identity.nodeName,
      labels: nodeLabels(identity),
      annotations: nodeAnnotations(identity),
    },
    spec: {
      ...(podCidr === undefined ? {} : { podCIDR: podCidr, podCIDRs: [podCidr] }),
      providerID: providerId(identity.nodeName),
    },
  };
}

export function nodeAnnotations({ handlers }: NodeIdentity): Record<string, string> {
  const kata = handlers.find(({ kataConfiguration }) => kataConfiguration !== undefined);
  return {
    [kubeletAddressAnnotation]: "127.0.0.1",
    ...(kata?.kataConfiguration ? { [kataConfigurationAnnotation]: kata.kataConfiguration } : {}),
    "node.alpha.kubernetes.io/ttl": "0",
    "volumes.kubernetes.io/controller-managed-attach-detach": "true",
  };
}

/** The status without its conditions. */
export function nodeStatus(identity: NodeIdentity): NodeStatus {
  const { host, nodeName } = identity;
  const capacity = capacityOf(identity.vmSize);
  return {
    addresses: [
      { type: "InternalIP", address: nodeInternalIp },
      { type: "Hostname", address: nodeName },
    ],
    capacity: quantities(capacity, true),
    allocatable: quantities(allocatableOf(capacity), false),
    daemonEndpoints: { kubeletEndpoint: { Port: identity.kubeletPort } },
    nodeInfo: {
      architecture: host.architecture,
      bootID: host.bootId,
      containerRuntimeVersion: containerdVersion,
      kernelVersion: host.kernelVersion,
      kubeProxyVersion: kubeletVersion,
      kubeletVersion,
      machineID: host.machineId,
      operatingSystem: "linux",
      osImage: "Microsoft Azure Linux 3.0 (simulated by katasim)",
      systemUUID: host.systemUuid,
    },
    runtimeHandlers: identity.handlers
      .filter(({ usable }) => usable)
      .map(({ name }) => ({
        name,
        features: { recursiveReadOnlyMounts: false, userNamespaces: false },
      })),
  };
}

/** As the kubelet writes them: Ki for what the machine has, plain bytes for allocatable storage. */
function quantities(amount: NodeCapacity, isCapacity: boolean): Record<string, string> {
  const storage = amount.ephemeralStorageBytes;
  return {
    cpu: formatCpu(amount.cpuMillis),
    "ephemeral-storage": isCapacity ? `${Math.floor(storage / 1024)}Ki` : String(storage),
    "hugepages-1Gi": "0",
    "hugepages-2Mi": "0",
    memory: `${Math.floor(amount.memoryBytes / 1024)}Ki`,
    pods: String(amount.pods),
  };
}
