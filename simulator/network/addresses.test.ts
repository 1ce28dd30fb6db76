import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAddressBook, ipToNumber, macOf, numberToIp, parseCidr } from "./addresses.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "rt-addr-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("addresses", () => {
  it("keeps an address through number and text", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (value) => {
        expect(ipToNumber(numberToIp(value))).toBe(value);
      }),
    );
  });

  it("gives the first usable address to the bridge", () => {
    expect(parseCidr("10.244.0.0/24")).toMatchObject({ gateway: "10.244.0.1", prefixLength: 24 });
  });

  it.each(["10.244.0.0", "10.244.0.0/31", "10.300.0.0/24", "x/24"])(
    "refuses the range %s",
    (cidr) => {
      expect(() => parseCidr(cidr)).toThrow(/no IPv4 range/);
    },
  );

  it("derives the MAC from the address", () => {
    expect(macOf("10.244.0.5")).toBe("0a:58:0a:f4:00:05");
  });

  it("answers the same address to the same owner", async () => {
    const book = createAddressBook(folder, parseCidr("10.1.0.0/24"));
    expect(await book.reserve("a")).toBe("10.1.0.2");
    expect(await book.reserve("a")).toBe("10.1.0.2");
    expect(await book.reserve("b")).toBe("10.1.0.3");
  });

  it("gives a returned address out last", async () => {
    const book = createAddressBook(folder, parseCidr("10.1.0.0/29"));
    const first = await book.reserve("a");
    await book.release("a");
    const later = [await book.reserve("b"), await book.reserve("c")];
    expect(later).not.toContain(first);
  });

  it("never gives one address to two owners that ask at once", async () => {
    const book = createAddressBook(folder, parseCidr("10.1.0.0/27"));
    const given = await Promise.all(Array.from({ length: 20 }, (_, n) => book.reserve(`o${n}`)));
    expect(new Set(given).size).toBe(20);
  });

  it("says so when the range is exhausted", async () => {
    const book = createAddressBook(folder, parseCidr("10.1.0.0/29"));
    for (let n = 0; n < 5; n++) await book.reserve(`o${n}`);
    await expect(book.reserve("one too many")).rejects.toThrow(/no IP addresses available/);
  });
});
