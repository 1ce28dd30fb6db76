/** configMap volumes: kubernetes pkg/volume/configmap. */
import { writeAtomically } from "./atomic-writer.ts";
import { configMapFiles, defaultFileMode } from "./sources.ts";
import type { VolumeKind } from "./volume-kind.ts";

export const configMapVolume: VolumeKind = {
  plugin: "kubernetes.io~configmap",
  refreshable: true,
  async setUp(volume, context) {
    const source = volume.configMap ?? {};
    const mode = source.defaultMode ?? defaultFileMode;
    const files = await configMapFiles(source, mode, context);
    await writeAtomically(context.folder, files, context.pod.spec.securityContext?.fsGroup);
    return context.folder;
  },
};
