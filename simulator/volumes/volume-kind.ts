/** The form every kind of volume fills in; `index.ts` lists them. */
import type { Volume } from "../../proto/kubernetes/gen/types.ts";
import type { PodObject } from "../objects.ts";
import type { ClusterData } from "../pods/cluster-data.ts";
import type { PodFacts } from "../pods/field-ref.ts";

export interface VolumeContext {
  readonly pod: PodObject;
  readonly data: ClusterData;
  readonly facts: PodFacts;
  /** `<pods>/<uid>/volumes/<plugin>/<name>`: the kubelet's layout, on which VM shims rely. */
  readonly folder: string;
}

export interface VolumeKind {
  /** The kubelet's folder name, e.g. "kubernetes.io~empty-dir". */
  readonly plugin: string;
  /** Its content may change while the pod runs and is brought up to date by another `setUp`. */
  readonly refreshable: boolean;
  /**
   * Makes the volume, or brings it up to date; safe to repeat. Resolves with its path on the host.
   * Rejects with VOLUME_SETUP in the kubelet's words.
   */
  setUp(volume: Volume, context: VolumeContext): Promise<string>;
}

/** What of a volume is known without looking: the source a Volume object names. */
export function volumeSource(volume: Volume): string {
  return Object.keys(volume).find((key) => key !== "name") ?? "emptyDir";
}
