import { describe, expect, it } from "vitest";
import { planMounts } from "./mounts.ts";

const host = { isSpecial: (path: string) => path.startsWith("/dev/") };
const bind = (source: string, destination: string, options = ["rbind", "rprivate", "ro"]) => ({
  type: "bind",
  source,
  destination,
  options,
});

describe("planMounts", () => {
  it("keeps the guest's own file systems with their options", () => {
    const mounts = [
      {
        destination: "/proc",
        type: "proc",
        source: "proc",
        options: ["nosuid", "noexec", "nodev"],
      },
      {
        destination: "/dev",
        type: "tmpfs",
        source: "tmpfs",
        options: ["nosuid", "strictatime", "mode=755"],
      },
    ];
    expect(planMounts(mounts, host)).toEqual({
      mounts: [
        {
          source: "proc",
          destination: "/proc",
          type: "proc",
          options: ["nosuid", "noexec", "nodev"],
        },
        {
          source: "tmpfs",
          destination: "/dev",
          type: "tmpfs",
          options: ["nosuid", "strictatime", "mode=755"],
        },
      ],
      copies: [],
    });
  });

  it("copies a bound file or folder to one guest path for all containers", () => {
    const first = planMounts(
      [bind("/var/lib/x/etc-hosts", "/etc/hosts", ["rbind", "rprivate", "rw"])],
      host,
    );
    const again = planMounts([bind("/var/lib/x/etc-hosts", "/elsewhere")], host);
    expect(first.copies).toEqual(again.copies);
    expect(first.copies[0]).toMatchObject({ hostPath: "/var/lib/x/etc-hosts", kind: "tree" });
    expect(first.mounts[0]).toMatchObject({
      destination: "/etc/hosts",
      type: "bind",
      options: ["bind"],
    });
    expect(first.mounts[0]?.source).toMatch(/^\/run\/katasim\/shared\/[0-9a-f]{12}-etc-hosts$/);
    expect(again.mounts[0]?.options).toEqual(["bind", "ro"]);
  });

  it("makes an emptyDir inside the guest, sub paths included, and copies nothing", () => {
    const volume = "/pods/u/volumes/kubernetes.io~empty-dir/cache";
    const { mounts, copies } = planMounts([bind(`${volume}/a/b`, "/data", ["rbind", "rw"])], host);
    expect(copies.map(({ hostPath, kind }) => [hostPath, kind])).toEqual([
      [volume, "folder"],
      [`${volume}/a`, "folder"],
      [`${volume}/a/b`, "folder"],
    ]);
    expect(mounts[0]?.source).toBe(copies[2]?.guestPath);
  });

  it("shares the sandbox's /dev/shm whatever the spec says", () => {
    for (const mount of [
      bind("/run/host/shm", "/dev/shm"),
      { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["size=64m"] },
    ]) {
      const plan = planMounts([mount], host);
      expect(plan.mounts[0]?.source).toBe("/run/katasim/sandbox/shm");
      expect(plan.copies).toEqual([]);
    }
  });

  it("never shares the host's /proc, /sys and devices: the guest's own take their place", () => {
    const { mounts, copies } = planMounts(
      [bind("/sys/fs/cgroup", "/cg"), bind("/dev/null", "/n")],
      host,
    );
    expect(copies).toEqual([]);
    expect(mounts.map(({ source }) => source)).toEqual(["/sys/fs/cgroup", "/dev/null"]);
  });

  it("copies what two mounts share once", () => {
    const plan = planMounts([bind("/c", "/one"), bind("/c", "/two")], host);
    expect(plan.copies).toHaveLength(1);
    expect(plan.mounts).toHaveLength(2);
  });
});
