import { describe, expect, it } from "vitest";
import { enterPlace, fileInPlace, lentFolder, socketInPlace, vmmPlace } from "./vmm-place.ts";

const program = "/g/vmm-place";
const place = {
  uid: 2_000_000_007,
  program,
  devices: [{ path: "/dev/kvm", major: 10, minor: 232 }],
};

describe("the place of a VMM", () => {
  it.runIf(process.getuid?.() === 0)("has a user of its own for each sandbox", () => {
    const uids = ["one", "two", "one"].map((id) => vmmPlace(id, program, [])?.uid);
    expect(uids[0]).toBe(uids[2]);
    expect(uids[0]).not.toBe(uids[1]);
    for (const uid of uids) {
      // "Unused" in systemd's docs/UIDS-GIDS.md.
      expect(uid).toBeGreaterThanOrEqual(1_879_048_192);
      expect(uid).toBeLessThanOrEqual(2_147_352_575);
    }
  });

  it.runIf(process.getuid?.() === 0)("has the devices that are there, by their numbers", () => {
    expect(vmmPlace("one", program, ["/dev/null", "/dev/no-such-device"])?.devices).toEqual([
      { path: "/dev/null", major: 1, minor: 3 },
    ]);
  });

  it("has other names for the files that are lent into it", () => {
    expect(fileInPlace(place, "/root/private/vmlinux", "kernel")).toBe(`${lentFolder}/kernel`);
    expect(socketInPlace(place, "/run/x/0123.vmm/c")).toBe(`${lentFolder}/s/c`);
    expect(fileInPlace(undefined, "/root/private/vmlinux", "kernel")).toBe("/root/private/vmlinux");
    expect(socketInPlace(undefined, "/run/x/0123.vmm/c")).toBe("/run/x/0123.vmm/c");
  });

  it("is entered by a program that takes every path as a word of its own", () => {
    const files = { kernel: "/k $(id)" };
    expect(
      enterPlace(place, "/s; rm -rf /", {
        files,
        smallPages: true,
        ownNetwork: true,
        tap: "ktap0",
      }),
    ).toEqual([
      ...[
        program,
        "enter",
        "2000000007",
        "/s; rm -rf /",
        "--small-pages",
        "--own-network",
        "--tap",
        "ktap0",
      ],
      ...["--lend", "kernel", "/k $(id)", "--device", "/dev/kvm", "10", "232", "--"],
    ]);
  });
});
