/** secret volumes: kubernetes pkg/volume/secret. */
import { writeAtomically } from "./atomic-writer.ts";
import { defaultFileMode, secretFiles } from "./sources.ts";
import type { VolumeKind } from "./volume-kind.ts";

export const secretVolume: VolumeKind = {
  plugin: "kubernetes.io~secret",
  refreshable: true,
  async setUp(volume, context) {
    const { secretName, items, optional, defaultMode } = volume.secret ?? {};
    const files = await secretFiles(
      {
        ...(secretName === undefined ? {} : { name: secretName }),
        ...(items === undefined ? {} : { items }),
        ...(optional === undefined ? {} : { optional }),
      },
      defaultMode ?? defaultFileMode,
      context,
    );
    await writeAtomically(context.folder, files, context.pod.spec.securityContext?.fsGroup);
    return context.folder;
  },
};
