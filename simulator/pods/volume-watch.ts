/**
 * Watches the configMaps and secrets that running pods have as volumes, each one alone, as a node may
 * on a cluster with NodeRestriction: kubelet pkg/kubelet/util/manager/watch_based_manager.go.
 */
import { messageOf } from "../../common/errors.ts";
import type { Logger } from "../../common/log.ts";
import type { ClusterPort } from "../cluster-port.ts";
import { coreV1, type PodObject } from "../objects.ts";

export interface VolumeWatch {
  /** Hears of changes of what the pod's volumes show. Safe to repeat. */
  follow(pod: PodObject): void;
  forget(podUid: string): void;
  close(): void;
}

interface Watched {
  readonly pods: Set<string>;
  readonly stop: AbortController;
}

/** `changed` is told the pod whose volumes may be out of date, also when a watch begins anew. */
export function createVolumeWatch(dependencies: {
  readonly cluster: ClusterPort;
  readonly log: Logger;
  changed(podUid: string): void;
}): VolumeWatch {
  const { cluster, log, changed } = dependencies;
  const watched = new Map<string, Watched>();

  const begin = ({ plural, namespace, name }: Reference): Watched => {
    const entry: Watched = { pods: new Set(), stop: new AbortController() };
    cluster
      .watch(
        coreV1(plural, namespace),
        { fieldSelector: `metadata.name=${name}` },
        () => {
          for (const uid of entry.pods) changed(uid);
        },
        entry.stop.signal,
      )
      .catch((error: unknown) =>
        log.warn({ [plural]: `${namespace}/${name}`, error: messageOf(error) }, "not watched"),
      );
    return entry;
  };
  return {
    follow(pod) {
      for (const reference of volumeReferences(pod)) {
        const key = `${reference.plural}/${reference.namespace}/${reference.name}`;
        const entry = watched.get(key) ?? begin(reference);
        watched.set(key, entry);
        entry.pods.add(pod.metadata.uid);
      }
    },
    forget(podUid) {
      for (const [key, { pods, stop }] of watched) {
        if (!pods.delete(podUid) || pods.size > 0) continue;
        stop.abort();
        watched.delete(key);
      }
    },
    close() {
      for (const { stop } of watched.values()) stop.abort();
      watched.clear();
    },
  };
}

interface Reference {
  readonly plural: "configmaps" | "secrets";
  readonly namespace: string;
  readonly name: string;
}

function volumeReferences(pod: PodObject): readonly Reference[] {
  const { namespace } = pod.metadata;
  const found: Reference[] = [];
  const add = (plural: Reference["plural"], name: string | undefined) => {
    if (name) found.push({ plural, namespace, name });
  };
  for (const { configMap, secret, projected } of pod.spec.volumes ?? []) {
    add("configmaps", configMap?.name);
    add("secrets", secret?.secretName);
    for (const source of projected?.sources ?? []) {
      add("configmaps", source.configMap?.name);
      add("secrets", source.secret?.name);
    }
  }
  return found;
}
