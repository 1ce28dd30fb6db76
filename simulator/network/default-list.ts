/** The CNI configuration of a node whose user gives none: Debian's bridge and host-local plugins. */
import type { AddressRange } from "./address-range.ts";
import { type NetworkList, parseNetworkList } from "./cni/network-list.ts";
import { nodeBridge } from "./node-netns.ts";

export const defaultNetworkName = "katasim";

/** `leases` is the folder host-local keeps its reservations in. */
export function defaultNetworkList(range: AddressRange, leases: string): NetworkList {
  const { cidr, gateway, lastPod } = range;
  const list = {
    cniVersion: "1.0.0",
    name: defaultNetworkName,
    plugins: [
      {
        type: "bridge",
        bridge: nodeBridge,
        isGateway: true,
        hairpinMode: true,
        ipam: {
          type: "host-local",
          dataDir: leases,
          ranges: [[{ subnet: cidr, gateway, rangeEnd: lastPod }]],
          routes: [{ dst: "0.0.0.0/0" }],
        },
      },
    ],
  };
  return parseNetworkList(JSON.stringify(list), "katasim's own configuration");
}
