import { describe, expect, it } from "vitest";
import { capabilityMask } from "./capabilities.ts";
import { containerFields, processFields, resourceFields } from "./oci-to-guest.ts";
import { ProcessSchema, SpecSchema } from "./spec.ts";

const root = { lowerSerials: ["i1", "i2"], upperSerial: "w1" };
const values = (fields: ReadonlyArray<readonly [number, unknown]>, tag: number) =>
  fields.filter(([t, value]) => t === tag && value !== undefined).map(([, value]) => value);

describe("containerFields", () => {
  it("says what a container is, in the protocol's tags", () => {
    const spec = SpecSchema.parse({
      hostname: "pod",
      root: { path: "rootfs", readonly: true },
      process: {
        args: ["sh", "-c", "true"],
        env: ["A=b"],
        cwd: "/w",
        user: { uid: 5, gid: 6, additionalGids: [7, 8] },
      },
      linux: {
        namespaces: [{ type: "pid", path: "/proc/12/ns/pid" }],
        sysctl: { "net.ipv4.ip_forward": "1" },
        maskedPaths: ["/proc/kcore"],
        readonlyPaths: ["/proc/sys"],
        resources: {
          cpu: { quota: 50_000, period: 100_000, shares: 512 },
          memory: { limit: 1024 },
        },
      },
    });
    const mounts = [
      { source: "proc", destination: "/proc", type: "proc", options: ["nosuid", "nodev"] },
    ];
    const fields = containerFields("c", spec, root, mounts);
    expect(values(fields, 1)).toEqual(["c"]);
    expect(values(fields, 2)).toEqual(["i1", "i2"]);
    expect(values(fields, 3)).toEqual(["w1"]);
    expect(values(fields, 4)).toEqual([true]);
    expect(String(values(fields, 5)[0])).toBe("proc\0/proc\0proc\0nosuid,nodev");
    expect(values(fields, 7)).toEqual([true]);
    expect([8, 9, 10, 11].flatMap((tag) => values(fields, tag))).toEqual([
      50_000, 100_000, 512, 1024,
    ]);
    expect(values(fields, 12)).toEqual(["net.ipv4.ip_forward=1"]);
    expect(values(fields, 30)).toEqual(["sh", "-c", "true"]);
    expect([33, 34, 35].flatMap((tag) => values(fields, tag))).toEqual([5, 6, 7, 8]);
  });

  it("drops what is the host's: hooks, namespace paths, AppArmor", () => {
    const spec = SpecSchema.parse({
      process: { args: ["a"], apparmorProfile: "x" },
      hooks: { prestart: [{ path: "/bin/evil" }] },
      linux: {
        namespaces: [{ type: "ipc", path: "/proc/1/ns/ipc" }, { type: "pid" }],
      },
    });
    const text = JSON.stringify(containerFields("c", spec, root, []), (_, value) =>
      typeof value === "bigint" ? String(value) : value,
    );
    expect(text).not.toMatch(/evil|apparmor|\/proc\/1/);
    expect(values(containerFields("c", spec, root, []), 7)).toEqual([false]);
  });

  it("filters the container and its execs by the spec's profile", () => {
    const seccomp = { defaultAction: "SCMP_ACT_ALLOW" };
    const spec = SpecSchema.parse({ process: { args: ["a"] }, linux: { seccomp } });
    const [filter] = values(containerFields("c", spec, root, []), 51);
    expect(filter).toBeInstanceOf(Buffer);
    const exec = processFields(ProcessSchema.parse({ args: ["b"] }), spec.linux?.seccomp);
    expect(values(exec, 51)).toEqual([filter]);
  });

  it("asks for the spec's device rules and process limit", () => {
    const spec = SpecSchema.parse({
      process: { args: ["a"] },
      linux: {
        resources: {
          devices: [
            { allow: false, access: "rwm" },
            { allow: true, type: "c", major: 10, minor: 229, access: "rw" },
          ],
          pids: { limit: 5 },
        },
      },
    });
    const fields = containerFields("c", spec, root, []);
    expect(values(fields, 15)).toEqual(["deny a -1 -1 rwm", "allow c 10 229 rw"]);
    expect(values(fields, 16)).toEqual([5]);
  });

  it("refuses a spec without a process", () => {
    expect(() => containerFields("c", SpecSchema.parse({}), root, [])).toThrow("has no process");
  });
});

describe("processFields", () => {
  it("names rlimits as the guest does and keeps infinity", () => {
    const process = ProcessSchema.parse({
      args: ["a"],
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024, hard: 2 ** 64 }],
    });
    expect(values(processFields(process), 48)).toEqual(["nofile 1024 18446744073709551615"]);
  });

  it("turns capability names into the kernel's bits", () => {
    expect(capabilityMask(["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE"])).toBe(
      (1n << 0n) | (1n << 21n) | (1n << 40n),
    );
    expect(capabilityMask(["CAP_FROM_THE_FUTURE"])).toBe(0n);
  });
});

describe("resourceFields", () => {
  it("takes -1 and 0 as no limit", () => {
    const fields = resourceFields({ cpu: { quota: -1, period: 100_000 }, memory: { limit: 0 } });
    expect(fields.filter(([, value]) => value !== undefined)).toEqual([]);
  });
});
