/** Figures of the guest as containerd's Metrics, in the form of the host's cgroup version. */

import { existsSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import { MetricsSchema as MetricsV1 } from "../../proto/containerd/gen/cgroups_v1_pb.js";
import { MetricsSchema as MetricsV2 } from "../../proto/containerd/gen/cgroups_v2_pb.js";
import type { Fields } from "../guest-client/fields.ts";
import { containerdAny } from "./publisher.ts";

/** Tags of a container in the reply to STATS. Times are nanoseconds; a limit of 0 is none. */
const containerTags = {
  cpuUsage: 2,
  memoryUsage: 3,
  pids: 5,
  oomKills: 6,
  memoryLimit: 7,
  cpuUser: 8,
  cpuSystem: 9,
  periods: 10,
  throttledPeriods: 11,
  throttled: 12,
  pidsLimit: 13,
  anon: 14,
  file: 15,
  inactiveFile: 16,
  activeFile: 17,
  pageFaults: 18,
  majorFaults: 19,
  inactiveAnon: 25,
  activeAnon: 26,
  unevictable: 27,
  shmem: 28,
  fileMapped: 29,
  fileDirty: 30,
  slab: 31,
  kernelStack: 32,
  eventsLow: 33,
  eventsHigh: 34,
  eventsMax: 35,
  eventsOom: 36,
  readBytes: 37,
  writtenBytes: 38,
  reads: 39,
  writes: 40,
} as const;

type ContainerFigures = Record<keyof typeof containerTags, bigint>;

export type GuestFigures = ContainerFigures & {
  readonly receivedBytes: bigint;
  readonly sentBytes: bigint;
};

/** Of one container, or of the whole guest for `undefined`. */
export function guestFigures(reply: Fields, containerId: string | undefined): GuestFigures {
  const own = reply.groups(1).find((group) => group.text(1) === containerId);
  const number = (fields: Fields | undefined, tag: number) => BigInt(fields?.number(tag) ?? 0);
  const figures = Object.fromEntries(
    Object.entries(containerTags).map(([name, tag]) => [name, number(own, tag)]),
  ) as ContainerFigures;
  const network = { receivedBytes: number(reply, 23), sentBytes: number(reply, 24) };
  if (containerId !== undefined) return { ...figures, ...network };
  return {
    ...figures,
    cpuUsage: number(reply, 20),
    memoryUsage: number(reply, 21),
    memoryLimit: number(reply, 22),
    ...network,
  };
}

export function hostCgroupVersion(): 1 | 2 {
  return existsSync("/sys/fs/cgroup/cgroup.controllers") ? 2 : 1;
}

export function metricsAny(figures: GuestFigures, version: 1 | 2): Any {
  return version === 2
    ? containerdAny(anyPack(MetricsV2, metricsV2(figures)))
    : containerdAny(anyPack(MetricsV1, metricsV1(figures)));
}

// How "max" comes out of containerd's readers of either version: they subtract from it.
const unlimitedV1 = 0x7ffffffffffff000n;
const unlimitedV2 = 2n ** 64n - 1n;
// All disks of the container are one line: their numbers are the guest's and mean nothing here.
const disk = { major: 0n, minor: 0n };

function metricsV2(f: GuestFigures) {
  return create(MetricsV2, {
    pids: { current: f.pids, limit: f.pidsLimit || unlimitedV2 },
    cpu: {
      usageUsec: f.cpuUsage / 1000n,
      userUsec: f.cpuUser / 1000n,
      systemUsec: f.cpuSystem / 1000n,
      nrPeriods: f.periods,
      nrThrottled: f.throttledPeriods,
      throttledUsec: f.throttled / 1000n,
    },
    memory: {
      usage: f.memoryUsage,
      usageLimit: f.memoryLimit || unlimitedV2,
      anon: f.anon,
      file: f.file,
      kernelStack: f.kernelStack,
      slab: f.slab,
      shmem: f.shmem,
      fileMapped: f.fileMapped,
      fileDirty: f.fileDirty,
      inactiveAnon: f.inactiveAnon,
      activeAnon: f.activeAnon,
      inactiveFile: f.inactiveFile,
      activeFile: f.activeFile,
      unevictable: f.unevictable,
      pgfault: f.pageFaults,
      pgmajfault: f.majorFaults,
    },
    io: {
      usage: [
        { ...disk, rbytes: f.readBytes, wbytes: f.writtenBytes, rios: f.reads, wios: f.writes },
      ],
    },
    memoryEvents: {
      low: f.eventsLow,
      high: f.eventsHigh,
      max: f.eventsMax,
      oom: f.eventsOom,
      oomKill: f.oomKills,
    },
  });
}

function metricsV1(f: GuestFigures) {
  const limit = f.memoryLimit || unlimitedV1;
  const entries = (read: bigint, written: bigint) => [
    { ...disk, op: "Read", device: "", value: read },
    { ...disk, op: "Write", device: "", value: written },
  ];
  return create(MetricsV1, {
    pids: { current: f.pids, limit: f.pidsLimit },
    cpu: {
      usage: { total: f.cpuUsage, user: f.cpuUser, kernel: f.cpuSystem },
      throttling: {
        periods: f.periods,
        throttledPeriods: f.throttledPeriods,
        throttledTime: f.throttled,
      },
    },
    memory: {
      usage: { usage: f.memoryUsage, limit, failcnt: f.eventsMax },
      hierarchicalMemoryLimit: limit,
      cache: f.file,
      rss: f.anon,
      mappedFile: f.fileMapped,
      dirty: f.fileDirty,
      pgFault: f.pageFaults,
      pgMajFault: f.majorFaults,
      inactiveAnon: f.inactiveAnon,
      activeAnon: f.activeAnon,
      inactiveFile: f.inactiveFile,
      activeFile: f.activeFile,
      unevictable: f.unevictable,
      totalCache: f.file,
      totalRss: f.anon,
      totalMappedFile: f.fileMapped,
      totalDirty: f.fileDirty,
      totalPgFault: f.pageFaults,
      totalPgMajFault: f.majorFaults,
      totalInactiveAnon: f.inactiveAnon,
      totalActiveAnon: f.activeAnon,
      totalInactiveFile: f.inactiveFile,
      totalActiveFile: f.activeFile,
      totalUnevictable: f.unevictable,
    },
    blkio: {
      ioServiceBytesRecursive: entries(f.readBytes, f.writtenBytes),
      ioServicedRecursive: entries(f.reads, f.writes),
    },
    network: [{ name: "eth0", rxBytes: f.receivedBytes, txBytes: f.sentBytes }],
    memoryOomControl: { oomKill: f.oomKills },
  });
}
