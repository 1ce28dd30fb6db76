/** Names of our containers in the engine, for people who look with `docker ps`. */
import { randomBytes } from "node:crypto";

/**
 * As dockershim named them (`k8s_<container>_<pod>_<namespace>_…`); the random end keeps a name free
 * that a killed node has taken.
 */
export function containerName(
  container: string,
  pod: { readonly podName: string; readonly podNamespace: string },
): string {
  const end = randomBytes(4).toString("hex");
  return `k8s_${container}_${pod.podName}_${pod.podNamespace}_${end}`;
}
