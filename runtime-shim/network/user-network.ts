/**
 * A network of a VM's own, played by QEMU (-netdev user, libslirp): it needs neither root nor a network
 * namespace, and nothing reaches the guest through it. Pure.
 */
import { z } from "zod";
import { shimError } from "../errors.ts";
import type { PodInterface } from "./interface.ts";

/** Of a sandbox's spec: the address its guest is to have, with the prefix length. */
export const addressAnnotation = "katasim.dev/address";

// QEMU's own choice where nobody makes one.
const defaultAddress = "10.0.2.15/24";
// Plain Ethernet; slirp takes larger packets apart itself.
const mtu = 1500;

export interface UserNetwork {
  /** "10.0.2.0/24" */
  readonly subnet: string;
  readonly gateway: string;
  /** Passes queries on to the resolvers of this machine. */
  readonly nameserver: string;
  /** What the guest's interface is to be. */
  readonly pod: PodInterface;
}

/** Throws NETWORK for an address that is none, or is the gateway's or the name server's. */
export function userNetwork(address: string = defaultAddress): UserNetwork {
  const [ip = "", length = ""] = address.split("/");
  const prefixLength = /^\d+$/.test(length) ? Number(length) : Number.NaN;
  if (!z.ipv4().safeParse(ip).success || !(prefixLength >= 8 && prefixLength <= 29)) {
    throw refused(address, "is no IPv4 address with a prefix length from 8 to 29");
  }
  const size = 2 ** (32 - prefixLength);
  const number = toNumber(ip);
  const base = number - (number % size);
  const subnet = `${toText(base)}/${prefixLength}`;
  const gateway = toText(base + 1);
  const nameserver = toText(base + size - 2);
  if ([toText(base), gateway, nameserver, toText(base + size - 1)].includes(ip)) {
    throw refused(
      address,
      `is taken: in ${subnet} the first and the last two are the network's own`,
    );
  }
  return {
    subnet,
    gateway,
    nameserver,
    pod: {
      name: "eth0",
      mac: macOf(ip),
      mtu,
      addresses: [`${ip}/${prefixLength}`],
      routes: [`0.0.0.0/0 via ${gateway}`],
    },
  };
}

function refused(address: string, why: string) {
  return shimError("NETWORK", `the sandbox's address "${address}" ${why}`, {
    hint: `give the sandbox's spec another annotation ${addressAnnotation}, or none`,
  });
}

function toNumber(ip: string): number {
  return ip.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

function toText(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}

/** Locally administered, as CNI's plugins derive it. */
function macOf(ip: string): string {
  return [
    "0a",
    "58",
    ...ip.split(".").map((part) => Number(part).toString(16).padStart(2, "0")),
  ].join(":");
}
