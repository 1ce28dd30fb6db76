/** projected volumes: kubernetes pkg/volume/projected. clusterTrustBundle is refused by admission. */

import type { ServiceAccountTokenProjection } from "../../proto/kubernetes/gen/types.ts";
import { type PayloadFile, writeAtomically } from "./atomic-writer.ts";
import { configMapFiles, defaultFileMode, downwardApiFiles, secretFiles } from "./sources.ts";
import type { VolumeContext, VolumeKind } from "./volume-kind.ts";

// kubernetes pkg/apis/core/v1/defaults.go: an hour.
const defaultTokenSeconds = 3600;
// kubelet pkg/volume/projected: for the owner; writing adds the group's right to read.
const tokenMode = 0o600;

export const projectedVolume: VolumeKind = {
  plugin: "kubernetes.io~projected",
  refreshable: true,
  async setUp(volume, context) {
    const mode = volume.projected?.defaultMode ?? defaultFileMode;
    const files = new Map<string, PayloadFile>();
    for (const source of volume.projected?.sources ?? []) {
      const parts = [
        source.configMap && (await configMapFiles(source.configMap, mode, context)),
        source.secret && (await secretFiles(source.secret, mode, context)),
        source.downwardAPI && downwardApiFiles(source.downwardAPI.items, mode, context),
        source.serviceAccountToken && (await tokenFile(source.serviceAccountToken, mode, context)),
      ];
      for (const part of parts) for (const [path, file] of part ?? []) files.set(path, file);
    }
    await writeAtomically(context.folder, files, context.pod.spec.securityContext?.fsGroup);
    return context.folder;
  },
};

async function tokenFile(
  source: ServiceAccountTokenProjection,
  mode: number,
  context: VolumeContext,
): Promise<Map<string, PayloadFile>> {
  const token = await context.data.serviceAccountToken(context.pod, {
    ...(source.audience ? { audience: source.audience } : {}),
    expirationSeconds: source.expirationSeconds ?? defaultTokenSeconds,
  });
  // kubelet: with an fsGroup nobody else may read the token; without one the volume's mode holds.
  const hasGroup = context.pod.spec.securityContext?.fsGroup !== undefined;
  return new Map([[source.path, { data: Buffer.from(token), mode: hasGroup ? tokenMode : mode }]]);
}
