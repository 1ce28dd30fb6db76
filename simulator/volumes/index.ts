/** The volumes of a pod: made before its containers, refreshed while it runs, gone with it. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../common/errors.ts";
import type { Volume } from "../../proto/kubernetes/gen/types.ts";
import { agentError } from "../errors.ts";
import type { PodObject } from "../objects.ts";
import type { ClusterData } from "../pods/cluster-data.ts";
import type { PodFacts } from "../pods/field-ref.ts";
import { configMapVolume } from "./config-map.ts";
import { downwardApiVolume } from "./downward-api.ts";
import { emptyDirVolume } from "./empty-dir.ts";
import { hostPathVolume } from "./host-path.ts";
import { unmountBelow } from "./mounts.ts";
import { projectedVolume } from "./projected.ts";
import { secretVolume } from "./secret.ts";
import { type VolumeKind, volumeSource } from "./volume-kind.ts";

export { resolveSubPath } from "./sub-path.ts";
export { volumeSource } from "./volume-kind.ts";

const kinds: Readonly<Record<string, VolumeKind>> = {
  configMap: configMapVolume,
  downwardAPI: downwardApiVolume,
  emptyDir: emptyDirVolume,
  hostPath: hostPathVolume,
  projected: projectedVolume,
  secret: secretVolume,
};

export function isSupportedVolume(volume: Volume): boolean {
  return volumeSource(volume) in kinds;
}

export interface PodVolumes {
  /** Volume name → host path. Rejects with VOLUME_SETUP, the message in FailedMount's form. */
  setUp(pod: PodObject, facts: PodFacts): Promise<ReadonlyMap<string, string>>;
  /** Brings configMap, secret, projected and downwardAPI files up to date. */
  refresh(pod: PodObject, facts: PodFacts): Promise<void>;
}

export function createPodVolumes(
  podFolder: (uid: string) => string,
  data: ClusterData,
): PodVolumes {
  const setUpWhere = async (
    pod: PodObject,
    facts: PodFacts,
    wanted: (kind: VolumeKind) => boolean,
  ) => {
    const paths = new Map<string, string>();
    for (const volume of pod.spec.volumes ?? []) {
      const kind = kinds[volumeSource(volume)];
      if (kind === undefined || !wanted(kind)) continue;
      const folder = join(podFolder(pod.metadata.uid), "volumes", kind.plugin, volume.name);
      try {
        paths.set(volume.name, await kind.setUp(volume, { pod, data, facts, folder }));
      } catch (error) {
        throw agentError(
          "VOLUME_SETUP",
          `MountVolume.SetUp failed for volume "${volume.name}" : ${messageOf(error)}`,
          { cause: error },
        );
      }
    }
    return paths;
  };
  return {
    setUp: (pod, facts) => setUpWhere(pod, facts, () => true),
    refresh: async (pod, facts) => {
      await setUpWhere(pod, facts, (kind) => kind.refreshable);
    },
  };
}

/** Unmounts what is mounted in the pod's folder and removes it. Succeeds when it is gone. */
export async function removePodFolder(folder: string): Promise<void> {
  await unmountBelow(folder);
  await rm(folder, { recursive: true, force: true });
}
