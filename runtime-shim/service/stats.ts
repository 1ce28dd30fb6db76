/** Figures of the guest as containerd's Metrics, in the form of the host's cgroup version. */

import { existsSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import { MetricsSchema as MetricsV1 } from "../../proto/containerd/gen/cgroups_v1_pb.js";
import { MetricsSchema as MetricsV2 } from "../../proto/containerd/gen/cgroups_v2_pb.js";
import type { Fields } from "../guest-client/fields.ts";
import { containerdAny } from "./publisher.ts";

export interface GuestFigures {
  readonly cpuUsageNs: number;
  readonly memoryUsageBytes: number;
  readonly workingSetBytes: number;
  readonly memoryLimitBytes: number;
  readonly pids: number;
  readonly oomKills: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** Of one container, or of the whole guest for `undefined`. */
export function guestFigures(reply: Fields, containerId: string | undefined): GuestFigures {
  const own = reply.groups(1).find((group) => group.text(1) === containerId);
  const number = (fields: Fields | undefined, tag: number) => fields?.number(tag) ?? 0;
  const network = {
    receivedBytes: number(reply, 23),
    sentBytes: number(reply, 24),
  };
  if (containerId === undefined) {
    return {
      cpuUsageNs: number(reply, 20),
      memoryUsageBytes: number(reply, 21),
      workingSetBytes: number(reply, 21),
      memoryLimitBytes: number(reply, 22),
      pids: 0,
      oomKills: 0,
      ...network,
    };
  }
  return {
    cpuUsageNs: number(own, 2),
    memoryUsageBytes: number(own, 3),
    workingSetBytes: number(own, 4),
    memoryLimitBytes: number(own, 7),
    pids: number(own, 5),
    oomKills: number(own, 6),
    ...network,
  };
}

export function hostCgroupVersion(): 1 | 2 {
  return existsSync("/sys/fs/cgroup/cgroup.controllers") ? 2 : 1;
}

export function metricsAny(figures: GuestFigures, version: 1 | 2): Any {
  const big = (value: number) => BigInt(Math.trunc(value));
  // Readers compute the working set as usage minus inactive file pages.
  const inactiveFile = big(Math.max(0, figures.memoryUsageBytes - figures.workingSetBytes));
  if (version === 2) {
    const metrics = create(MetricsV2, {
      pids: { current: big(figures.pids) },
      cpu: { usageUsec: big(figures.cpuUsageNs / 1000) },
      memory: {
        usage: big(figures.memoryUsageBytes),
        usageLimit: big(figures.memoryLimitBytes),
        inactiveFile,
      },
      memoryEvents: { oomKill: big(figures.oomKills) },
    });
    return containerdAny(anyPack(MetricsV2, metrics));
  }
  const metrics = create(MetricsV1, {
    pids: { current: big(figures.pids) },
    cpu: { usage: { total: big(figures.cpuUsageNs) } },
    memory: {
      usage: { usage: big(figures.memoryUsageBytes), limit: big(figures.memoryLimitBytes) },
      inactiveFile,
      totalInactiveFile: inactiveFile,
    },
    network: [
      { name: "eth0", rxBytes: big(figures.receivedBytes), txBytes: big(figures.sentBytes) },
    ],
    memoryOomControl: { oomKill: big(figures.oomKills) },
  });
  return containerdAny(anyPack(MetricsV1, metrics));
}
