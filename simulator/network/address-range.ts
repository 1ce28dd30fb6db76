/** IPv4 arithmetic of the pods' address range. */
import { isIPv4 } from "node:net";
import { networkError } from "./errors.ts";

export interface AddressRange {
  /** "10.244.0.0/24" */
  readonly cidr: string;
  readonly first: number;
  readonly last: number;
  readonly prefixLength: number;
  /** First usable address, the bridge's. */
  readonly gateway: string;
  readonly lastPod: string;
  /** Last usable address, the machine's end of the cable to the node. */
  readonly host: string;
}

/** Throws POD_CIDR_INVALID. */
export function parseRange(text: string): AddressRange {
  const [address = "", length = ""] = text.split("/");
  const prefixLength = /^\d+$/.test(length) ? Number(length) : Number.NaN;
  if (!isIPv4(address) || !(prefixLength >= 8 && prefixLength <= 29)) {
    throw networkError("POD_CIDR_INVALID", `"${text}" is no IPv4 range for pods`, {
      hint: "Use a range such as 10.244.0.0/24 (prefix length 8 to 29).",
    });
  }
  const [first, last] = boundsOf(text);
  return {
    cidr: `${numberToIp(first)}/${prefixLength}`,
    first,
    last,
    prefixLength,
    gateway: numberToIp(first + 1),
    lastPod: numberToIp(last - 2),
    host: numberToIp(last - 1),
  };
}

/** First and last address of "10.0.0.0/8" or "10.0.0.1". */
export function boundsOf(text: string): readonly [number, number] {
  const [address = "", length = "32"] = text.split("/");
  const number = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(length));
  const first = number - (number % size);
  return [first, first + size - 1];
}

export function numberToIp(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}

/** A locally administered MAC made from the address: it stays when ports of a bridge come and go. */
export function macOf(ip: string): string {
  const octets = ip.split(".").map((part) => Number(part).toString(16).padStart(2, "0"));
  return ["0a", "58", ...octets].join(":");
}
