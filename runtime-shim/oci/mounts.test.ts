import { describe, expect, it } from "vitest";
import { planMounts } from "./mounts.ts";

const host = {
  isSpecial: (path: string) => path.startsWith("/dev/"),
  origin: (path: string) =>
    path.replace(/^\/sub\//, "/pods/u/volumes/kubernetes.io~empty-dir/cache/"),
};
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
      sources: [],
    });
  });

  it("copies a bound file or folder to one guest path for all containers", () => {
    const first = planMounts(
      [bind("/var/lib/x/etc-hosts", "/etc/hosts", ["rbind", "rprivate", "rw"])],
      host,
    );
    const again = planMounts([bind("/var/lib/x/etc-hosts", "/etc/hostname")], host);
    expect(first.sources).toEqual(again.sources);
    expect(first.sources[0]).toMatchObject({ hostPath: "/var/lib/x/etc-hosts", kind: "copy" });
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
    const { mounts, sources } = planMounts([bind(`${volume}/a/b`, "/data", ["rbind", "rw"])], host);
    expect(sources.map(({ hostPath, kind }) => [hostPath, kind])).toEqual([
      [volume, "volume"],
      [`${volume}/a`, "folder"],
      [`${volume}/a/b`, "folder"],
    ]);
    expect(mounts[0]?.source).toBe(sources[2]?.guestPath);
  });

  it("shares the sandbox's /dev/shm whatever the spec says", () => {
    for (const mount of [
      bind("/run/host/shm", "/dev/shm"),
      { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["size=64m"] },
    ]) {
      const plan = planMounts([mount], host);
      expect(plan.mounts[0]?.source).toBe("/run/katasim/sandbox/shm");
      expect(plan.sources).toEqual([]);
    }
  });

  it("never shares the host's /proc, /sys and devices: the guest's own take their place", () => {
    const { mounts, sources } = planMounts(
      [bind("/sys/fs/cgroup", "/cg"), bind("/dev/null", "/n")],
      host,
    );
    expect(sources).toEqual([]);
    expect(mounts.map(({ source }) => source)).toEqual(["/sys/fs/cgroup", "/dev/null"]);
  });

  it.each([
    ["/pods/u/volumes/kubernetes.io~configmap/c", "live"],
    ["/pods/u/volumes/kubernetes.io~projected/c/..2026_01/key", "copy"],
    ["/var/lib/kubelet/pods/u/containers/main/0a1b2c3d", "message"],
    ["/sub/a", "volume"],
    ["/pods/u/volumes/kubernetes.io~csi/c/mount", "share"],
    ["/srv", "share"],
  ])("knows %s as %s", (source, kind) => {
    expect(planMounts([bind(source, "/x")], host).sources[0]?.kind).toBe(kind);
  });

  it("shares a folder twice when one may write and the other not", () => {
    const plan = planMounts([bind("/srv", "/one"), bind("/srv", "/two", ["rbind", "rw"])], host);
    expect(plan.sources.map(({ readOnly }) => readOnly)).toEqual([true, false]);
    expect(new Set(plan.mounts.map(({ source }) => source)).size).toBe(2);
  });

  it("copies what two mounts share once", () => {
    const plan = planMounts([bind("/c", "/one"), bind("/c", "/two")], host);
    expect(plan.sources).toHaveLength(1);
    expect(plan.mounts).toHaveLength(2);
  });
});
