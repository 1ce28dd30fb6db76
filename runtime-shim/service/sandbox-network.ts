/** A sandbox's NIC: what it is to be, its other end in the pod's network, and what listens there. */
import type { VmmCgroup } from "../confinement/vmm-cgroup.ts";
import type { GuestClient } from "../guest-client/client.ts";
import { joinPort } from "../guest-client/dial-server.ts";
import type { Nic } from "../hypervisors/hypervisor.ts";
import type { PodInterface } from "../network/interface.ts";
import { createPodListeners, type PodListeners } from "../network/pod-listeners.ts";
import { connectTap, disconnectTap, findPodInterface, tapName } from "../network/tcfilter.ts";
import { userNetwork } from "../network/user-network.ts";
import { bootMac } from "./boot-guest.ts";
import type { SandboxInput } from "./sandbox.ts";
import { writeShimState } from "./state-file.ts";

export interface GuestNic {
  readonly nic: Nic;
  readonly pod: PodInterface;
}

export interface JoinedNetwork {
  readonly pod: PodInterface;
  leave(): Promise<void>;
}

/** Of a VM that was started before it was known where the NIC is to lead. */
export const spareNic: Nic = { kind: "tap", mac: bootMac, tap: tapName };

/** What its NIC is to be; undefined for a sandbox without one. */
export async function planNetwork({
  netnsPath,
  address,
  options,
}: SandboxInput): Promise<GuestNic | undefined> {
  if (options.network === "user") {
    const { pod, ...network } = userNetwork(address);
    const where = netnsPath === undefined ? {} : { netnsPath };
    const nic = {
      kind: "user" as const,
      mac: bootMac,
      egress: options.egress,
      ...network,
      ...where,
    };
    return { pod, nic };
  }
  if (options.network === "none" || netnsPath === undefined) return undefined;
  const pod = await findPodInterface(netnsPath);
  return pod && { pod, nic: spareNic };
}

export interface NetworkJoin {
  /**
   * Resolves when the NIC of this VMM's guest leads to the pod's network. Asked again for the same VMM it
   * answers the same; for another, the one before is given up.
   */
  join(vmmPid: number): Promise<JoinedNetwork | undefined>;
  /** For good. Idempotent. */
  leave(): Promise<void>;
}

export function createNetworkJoin(
  input: SandboxInput,
  planned: Promise<GuestNic | undefined>,
  cgroup: VmmCgroup | undefined,
): NetworkJoin {
  let current: { readonly vmmPid: number; readonly joined: ReturnType<NetworkJoin["join"]> };
  let closed = false;
  let left: Promise<void> = Promise.resolve();
  const giveUp = () => {
    const joined = current?.joined.catch(() => undefined);
    left = left.then(async () => (await joined)?.leave());
    return left;
  };
  return {
    leave() {
      closed = true;
      return giveUp();
    },
    join(vmmPid) {
      if (current?.vmmPid === vmmPid) return current.joined;
      const joined = giveUp().then(() =>
        closed ? undefined : joinNetwork(input, vmmPid, planned, cgroup),
      );
      joined.catch(() => {});
      current = { vmmPid, joined };
      return joined;
    },
  };
}

async function joinNetwork(
  { netnsPath, state }: SandboxInput,
  vmmPid: number,
  planned: Promise<GuestNic | undefined>,
  cgroup: VmmCgroup | undefined,
): Promise<JoinedNetwork | undefined> {
  const network = await planned;
  if (network === undefined) return undefined;
  const { pod } = network;
  if (network.nic.kind !== "tap" || netnsPath === undefined) return { pod, leave: async () => {} };
  const cgroupFolders = cgroup === undefined ? {} : { cgroupFolders: cgroup.folders };
  writeShimState({ ...state, ...cgroupFolders, netnsPath, podInterface: pod.name });
  await connectTap(netnsPath, vmmPid, pod);
  return { pod, leave: () => disconnectTap(netnsPath, pod.name) };
}

export function listenInNamespace(
  { netnsPath = "", log }: SandboxInput,
  guest: GuestClient,
): PodListeners {
  return createPodListeners({
    netnsPath,
    log,
    // It listened a moment ago; a reset is what one meets who comes late.
    connect: (socket, port) =>
      void joinPort(socket, guest, port).catch(() => socket.resetAndDestroy()),
  });
}
