/** downwardAPI volumes: kubernetes pkg/volume/downwardapi. */
import { writeAtomically } from "./atomic-writer.ts";
import { defaultFileMode, downwardApiFiles } from "./sources.ts";
import type { VolumeKind } from "./volume-kind.ts";

export const downwardApiVolume: VolumeKind = {
  plugin: "kubernetes.io~downward-api",
  refreshable: true,
  async setUp(volume, context) {
    const source = volume.downwardAPI ?? {};
    const files = downwardApiFiles(source.items, source.defaultMode ?? defaultFileMode, context);
    await writeAtomically(context.folder, files, context.pod.spec.securityContext?.fsGroup);
    return context.folder;
  },
};
