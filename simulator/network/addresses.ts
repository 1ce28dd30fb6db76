/**
 * IPv4 arithmetic of the pod range and the address book: one file per reserved address, created
 * exclusively and holding the sandbox id, as CNI's host-local plugin keeps them
 * (containernetworking/plugins ipam/host-local/backend/disk).
 */
import { link, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { networkError } from "./errors.ts";

export interface AddressRange {
  /** Network address as an unsigned 32-bit number. */
  readonly base: number;
  readonly prefixLength: number;
  /** First usable address, given to the bridge. */
  readonly gateway: string;
  readonly firstHost: number;
  readonly lastHost: number;
}

const lastReservedFile = "last_reserved_ip";

/** Reads "10.244.0.0/24". Ranges under four addresses hold no pod and are refused. */
export function parseCidr(cidr: string): AddressRange {
  const match = /^(\d{1,3}(?:\.\d{1,3}){3})\/(\d{1,2})$/.exec(cidr);
  const address = match?.[1] === undefined ? undefined : ipToNumber(match[1]);
  const prefixLength = Number(match?.[2]);
  if (address === undefined || !(prefixLength >= 8 && prefixLength <= 29)) {
    throw networkError("POD_CIDR_INVALID", `"${cidr}" is no IPv4 range for pods`, {
      hint: "Use a range such as 10.244.0.0/24 (prefix length 8 to 29).",
    });
  }
  const size = 2 ** (32 - prefixLength);
  const base = address - (address % size);
  return {
    base,
    prefixLength,
    gateway: numberToIp(base + 1),
    firstHost: base + 2,
    lastHost: base + size - 2,
  };
}

export function ipToNumber(text: string): number | undefined {
  const parts = text.split(".").map(Number);
  if (parts.length !== 4 || parts.some((part) => !(part >= 0 && part <= 255))) return undefined;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

export function numberToIp(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}

/**
 * A locally administered MAC derived from the address, so that a re-used address keeps its neighbour
 * entries valid (the scheme of containernetworking/plugins pkg/utils/hwaddr).
 */
export function macOf(ip: string): string {
  const octets = ip.split(".").map((part) => Number(part).toString(16).padStart(2, "0"));
  return ["0a", "58", ...octets].join(":");
}

export interface AddressBook {
  /** The owner's address; a second call for the same owner answers the same one. */
  reserve(owner: string): Promise<string>;
  release(owner: string): Promise<void>;
  /** Address by owner. */
  owners(): Promise<ReadonlyMap<string, string>>;
}

export function createAddressBook(folder: string, range: AddressRange): AddressBook {
  async function owners(): Promise<Map<string, string>> {
    const names = await readdir(folder).catch(() => [] as string[]);
    const entries = await Promise.all(
      names
        .filter((name) => ipToNumber(name) !== undefined)
        .map(async (ip) => [await readFile(join(folder, ip), "utf8").catch(() => ""), ip] as const),
    );
    return new Map(entries.filter(([owner]) => owner !== ""));
  }

  async function reserve(owner: string): Promise<string> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const taken = await owners();
    const held = taken.get(owner);
    if (held !== undefined) return held;
    const count = range.lastHost - range.firstHost + 1;
    const last = await readFile(join(folder, lastReservedFile), "utf8").catch(() => "");
    const lastNumber = ipToNumber(last) ?? range.firstHost - 1;
    // Linked into place with its content: a crash leaves no address without an owner.
    const claim = join(folder, `claim-${owner}`);
    await writeFile(claim, owner, { mode: 0o600 });
    try {
      return await claimNext(claim, lastNumber, count);
    } finally {
      await rm(claim, { force: true });
    }
  }

  async function claimNext(claim: string, lastNumber: number, count: number): Promise<string> {
    // Round robin: an address that was just given back is the last to be given out again, so that
    // a slow client of a dead pod does not meet a new one.
    for (let step = 1; step <= count; step++) {
      const candidate = range.firstHost + ((lastNumber - range.firstHost + step + count) % count);
      const ip = numberToIp(candidate);
      try {
        await link(claim, join(folder, ip));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EEXIST") continue;
        throw error;
      }
      await writeFile(join(folder, lastReservedFile), ip, { mode: 0o600 });
      return ip;
    }
    throw networkError(
      "ADDRESSES_EXHAUSTED",
      `no IP addresses available in range set: ${numberToIp(range.firstHost)}-${numberToIp(range.lastHost)}`,
      { hint: "Delete pods that are no longer needed." },
    );
  }

  async function release(owner: string): Promise<void> {
    for (const [holder, ip] of await owners()) {
      if (holder === owner) await rm(join(folder, ip), { force: true });
    }
  }

  return { reserve, release, owners };
}
