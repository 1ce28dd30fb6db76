import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { MetricsSchema as MetricsV1 } from "../../proto/containerd/gen/cgroups_v1_pb.js";
import { MetricsSchema as MetricsV2 } from "../../proto/containerd/gen/cgroups_v2_pb.js";
import { decodeFields, encodeFields } from "../guest-client/fields.ts";
import { guestFigures, metricsAny } from "./stats.ts";

/** Every tag has its number times a million, so that no two figures can be taken for each other. */
const reply = decodeFields(
  encodeFields([
    [1, "c"],
    ...[...Array(18).keys()].map((n) => [n + 2, (n + 2) * 1e6] as const),
    ...[...Array(16).keys()].map((n) => [n + 25, (n + 25) * 1e6] as const),
    [20, 20e6],
    [21, 21e6],
    [22, 22e6],
    [23, 23e6],
    [24, 24e6],
  ]),
);
const million = (n: number) => BigInt(n) * 1_000_000n;

describe("a container's metrics", () => {
  it("fill containerd's message for cgroup version 2", () => {
    const any = metricsAny(guestFigures(reply, "c"), 2);
    expect(any.typeUrl).toBe("io.containerd.cgroups.v2.Metrics");
    expect(fromBinary(MetricsV2, any.value)).toMatchObject({
      pids: { current: million(5), limit: million(13) },
      cpu: {
        ...{ usageUsec: 2000n, userUsec: 8000n, systemUsec: 9000n },
        ...{ nrPeriods: million(10), nrThrottled: million(11), throttledUsec: 12_000n },
      },
      memory: {
        ...{ usage: million(3), usageLimit: million(7), anon: million(14), file: million(15) },
        ...{ inactiveFile: million(16), activeFile: million(17), pgfault: million(18) },
        ...{ pgmajfault: million(19), slab: million(31), kernelStack: million(32) },
      },
      io: {
        usage: [{ rbytes: million(37), wbytes: million(38), rios: million(39), wios: million(40) }],
      },
      memoryEvents: {
        ...{ low: million(33), high: million(34), max: million(35), oom: million(36) },
        oomKill: million(6),
      },
    });
  });

  it("fill containerd's message for cgroup version 1", () => {
    const any = metricsAny(guestFigures(reply, "c"), 1);
    expect(any.typeUrl).toBe("io.containerd.cgroups.v1.Metrics");
    expect(fromBinary(MetricsV1, any.value)).toMatchObject({
      pids: { current: million(5), limit: million(13) },
      cpu: {
        usage: { total: million(2), user: million(8), kernel: million(9) },
        throttling: {
          ...{ periods: million(10), throttledPeriods: million(11), throttledTime: million(12) },
        },
      },
      memory: {
        usage: { usage: million(3), limit: million(7), failcnt: million(35) },
        ...{ rss: million(14), cache: million(15), totalInactiveFile: million(16) },
      },
      blkio: {
        ioServiceBytesRecursive: [
          { op: "Read", value: million(37) },
          { op: "Write", value: million(38) },
        ],
      },
      network: [{ name: "eth0", rxBytes: million(23), txBytes: million(24) }],
      memoryOomControl: { oomKill: million(6) },
    });
  });

  it("have the kernel's largest number where there is no limit, as containerd's readers expect", () => {
    const none = guestFigures(decodeFields(encodeFields([[1, "c"]])), "c");
    const two = fromBinary(MetricsV2, metricsAny(none, 2).value);
    expect(two.memory?.usageLimit).toBe(2n ** 64n - 1n);
    const one = fromBinary(MetricsV1, metricsAny(none, 1).value);
    expect(one.memory?.usage?.limit).toBe(0x7ffffffffffff000n);
  });

  it("are the guest's own for the sandbox", () => {
    const own = guestFigures(reply, undefined);
    expect([own.cpuUsage, own.memoryUsage, own.memoryLimit]).toEqual([20, 21, 22].map(million));
    expect(own.pids).toBe(0n);
  });
});
