/** Reads what pods refer to: configMaps, secrets and service account tokens, always from the API. */
import type { Clock } from "../../common/clock.ts";
import type { TokenRequestSpec, TokenRequestStatus } from "../../proto/kubernetes/gen/types.ts";
import { isNotServed } from "../cluster/errors.ts";
import type { ClusterPort, KubernetesObject } from "../cluster-port.ts";
import { agentError } from "../errors.ts";
import { type ConfigMapObject, coreV1, type PodObject, type SecretObject } from "../objects.ts";

export interface TokenWish {
  readonly audience?: string;
  readonly expirationSeconds: number;
}

export interface ClusterData {
  configMap(namespace: string, name: string): Promise<ConfigMapObject | undefined>;
  secret(namespace: string, name: string): Promise<SecretObject | undefined>;
  /** A token bound to the pod; kept until four fifths of its life are over, as kubelet does. */
  serviceAccountToken(pod: PodObject, wish: TokenWish): Promise<string>;
  forgetTokens(podUid: string): void;
}

interface TokenRequest extends KubernetesObject {
  readonly spec: TokenRequestSpec;
  readonly status?: TokenRequestStatus;
}

export function createClusterData(cluster: ClusterPort, clock: Clock): ClusterData {
  const tokens = new Map<string, { readonly token: string; readonly refreshAtMs: number }>();
  return {
    configMap: (namespace, name) => cluster.get(coreV1("configmaps", namespace), name),
    secret: (namespace, name) => cluster.get(coreV1("secrets", namespace), name),
    async serviceAccountToken(pod, wish) {
      const { name, namespace, uid } = pod.metadata;
      const account = pod.spec.serviceAccountName || "default";
      const key = `${uid}/${wish.audience ?? ""}/${wish.expirationSeconds}`;
      const kept = tokens.get(key);
      if (kept !== undefined && kept.refreshAtMs > clock.nowMs()) return kept.token;
      const request: TokenRequest = {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        metadata: {},
        spec: {
          audiences: wish.audience === undefined ? [] : [wish.audience],
          expirationSeconds: wish.expirationSeconds,
          boundObjectRef: { apiVersion: "v1", kind: "Pod", name, uid },
        },
      };
      let status: TokenRequestStatus | undefined;
      try {
        const path = coreV1(`serviceaccounts/${account}/token`, namespace);
        status = (await cluster.create(path, request)).status;
      } catch (error) {
        if (!isNotServed(error)) throw error;
        throw agentError(
          "VOLUME_SETUP",
          `failed to fetch token: this API server does not issue service account tokens (serviceaccounts/token of "${account}")`,
          {
            cause: error,
            hint: "Set automountServiceAccountToken: false, or leave the serviceAccountToken source out.",
          },
        );
      }
      if (status === undefined) {
        throw agentError(
          "VOLUME_SETUP",
          `failed to fetch token: the answer for "${account}" is empty`,
        );
      }
      const lifeMs = Date.parse(status.expirationTimestamp) - clock.nowMs();
      tokens.set(key, { token: status.token, refreshAtMs: clock.nowMs() + lifeMs * 0.8 });
      return status.token;
    },
    forgetTokens(podUid) {
      for (const key of tokens.keys()) if (key.startsWith(`${podUid}/`)) tokens.delete(key);
    },
  };
}
