/**
 * Who has which address of the pods' range: one file per address, made exclusively and holding the
 * sandbox id, as CNI's host-local plugin keeps them.
 */
import { link, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { isIPv4 } from "node:net";
import { join } from "node:path";
import { type AddressRange, numberToIp } from "./address-range.ts";
import { networkError } from "./errors.ts";

export interface AddressBook {
  /** The owner's address; a second call for the same owner answers the same one. */
  reserve(owner: string): Promise<string>;
  release(owner: string): Promise<void>;
  /** Address by owner. */
  owners(): Promise<ReadonlyMap<string, string>>;
}

const lastReservedFile = "last_reserved_ip";

export function createAddressBook(folder: string, range: AddressRange): AddressBook {
  const lastPod = range.last - 2;
  // Behind the gateway.
  const all = Array.from({ length: lastPod - range.first - 1 }, (_, n) =>
    numberToIp(range.first + 2 + n),
  );

  async function owners(): Promise<Map<string, string>> {
    const names = await readdir(folder).catch(() => [] as string[]);
    const entries = await Promise.all(
      names
        .filter(isIPv4)
        .map(async (ip) => [await readFile(join(folder, ip), "utf8").catch(() => ""), ip] as const),
    );
    return new Map(entries.filter(([owner]) => owner !== ""));
  }

  async function reserve(owner: string): Promise<string> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const held = (await owners()).get(owner);
    if (held !== undefined) return held;
    // Linked into place with its content: a crash leaves no address without an owner.
    const claim = join(folder, `claim-${owner}`);
    await writeFile(claim, owner, { mode: 0o600 });
    try {
      return await claimNext(claim);
    } finally {
      await rm(claim, { force: true });
    }
  }

  async function claimNext(claim: string): Promise<string> {
    // Round robin: what was just given back is given out last, so that a slow client of a dead pod
    // does not meet a new one.
    const last = await readFile(join(folder, lastReservedFile), "utf8").catch(() => "");
    const start = all.indexOf(last) + 1;
    for (const ip of [...all.slice(start), ...all.slice(0, start)]) {
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
      `no IP addresses available in range set: ${all[0]}-${all.at(-1)}`,
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
