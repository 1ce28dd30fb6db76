/** Where a node's kubelet endpoints are. Source: kubernetes pkg/kubelet/client, util/node. */
import type { Node } from "../../../proto/kubernetes/gen/types.ts";
import { apiError } from "../../errors.ts";
import type { ApiContext } from "../context.ts";
import { notFound } from "../status-errors.ts";

/**
 * Annotation of a Node: the address to dial. A simulated node shows the addresses of an AKS node,
 * which exist nowhere, and listens on loopback.
 */
export const kubeletAddressAnnotation = "katasim.dev/kubelet-address";

const defaultKubeletPort = 10250;
// kube-apiserver's --kubelet-preferred-address-types.
const preferredTypes = ["InternalIP", "Hostname", "ExternalIP"];

export interface KubeletAddress {
  readonly nodeName: string;
  readonly host: string;
  readonly port: number;
}

export function kubeletAddressOf(context: ApiContext, nodeName: string): KubeletAddress {
  const found = context.store.get({ resource: "nodes", namespace: "", name: nodeName });
  if (found === undefined) throw notFound({ group: "", plural: "nodes" }, nodeName);
  const { status } = found as unknown as Node;
  const addresses = status?.addresses ?? [];
  const host =
    found.metadata.annotations?.[kubeletAddressAnnotation] ??
    preferredTypes.flatMap((type) => addresses.filter((a) => a.type === type))[0]?.address;
  if (host === undefined) {
    const known = addresses.map((address) => address.type).join(" ");
    throw apiError(
      "NODE_UNREACHABLE",
      `Internal error occurred: no preferred addresses found; known addresses: [${known}]`,
    );
  }
  return {
    nodeName,
    host,
    port: status?.daemonEndpoints?.kubeletEndpoint?.Port || defaultKubeletPort,
  };
}
