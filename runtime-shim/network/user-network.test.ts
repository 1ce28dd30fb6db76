import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { userNetwork } from "./user-network.ts";

describe("the user-mode network", () => {
  it("is QEMU's own where the sandbox names no address", () => {
    expect(userNetwork()).toMatchObject({
      subnet: "10.0.2.0/24",
      gateway: "10.0.2.1",
      nameserver: "10.0.2.254",
      pod: { name: "eth0", addresses: ["10.0.2.15/24"], routes: ["0.0.0.0/0 via 10.0.2.1"] },
    });
  });

  it("is made around the address the sandbox names", () => {
    expect(userNetwork("10.244.7.9/16")).toMatchObject({
      subnet: "10.244.0.0/16",
      gateway: "10.244.0.1",
      nameserver: "10.244.255.254",
      pod: { mac: "0a:58:0a:f4:07:09", addresses: ["10.244.7.9/16"] },
    });
  });

  it("never gives one address to two ends", () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.integer({ min: 8, max: 29 }), (ip, length) => {
        try {
          const { gateway, nameserver } = userNetwork(`${ip}/${length}`);
          expect(new Set([ip, gateway, nameserver]).size).toBe(3);
        } catch (error) {
          expect((error as Error).message).toContain("is taken");
        }
      }),
    );
  });

  it.each([
    "10.0.2.15",
    "10.0.2.15/30",
    "10.0.2/24",
    "fd00::1/64",
    "10.0.2.15/24,hostfwd=tcp::22-:22",
  ])("refuses %s", (address) => {
    expect(() => userNetwork(address)).toThrow(/is no IPv4 address/);
  });

  it.each(["10.0.2.0/24", "10.0.2.1/24", "10.0.2.254/24", "10.0.2.255/24"])(
    "keeps %s for itself",
    (address) => {
      expect(() => userNetwork(address)).toThrow(/is taken/);
    },
  );
});
