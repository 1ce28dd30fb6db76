/**
 * What a pod asks for and this node accepts without doing it yet: said once, in an event, so that
 * nobody takes silence for success. Pure.
 */
import type { Container, PodSpec } from "../../proto/kubernetes/gen/types.ts";

export function notSimulated(
  spec: PodSpec,
  network: { readonly hostPorts: boolean },
): readonly string[] {
  const containers: Container[] = [...(spec.initContainers ?? []), ...spec.containers];
  const named = (wanted: (container: Container) => unknown) =>
    containers.filter((container) => wanted(container)).map(({ name }) => name);
  const found: string[] = [];
  const probes = named(
    ({ livenessProbe, readinessProbe, startupProbe }) =>
      livenessProbe ?? readinessProbe ?? startupProbe,
  );
  if (probes.length > 0) {
    found.push(
      `probes of ${list(probes)} are not run: a running container counts as started, alive and ready`,
    );
  }
  const hooks = named(({ lifecycle }) => lifecycle?.postStart ?? lifecycle?.preStop);
  if (hooks.length > 0) found.push(`lifecycle hooks of ${list(hooks)} are not run`);
  const ports = named(({ ports }) => ports?.some(({ hostPort }) => hostPort));
  // On the node's own network a port is open by itself.
  if (ports.length > 0 && !network.hostPorts && !spec.hostNetwork) {
    found.push(`hostPort of ${list(ports)} is not opened: use kubectl port-forward`);
  }
  const appArmor = named(({ securityContext }) => filters(securityContext?.appArmorProfile?.type));
  if (appArmor.length > 0 || filters(spec.securityContext?.appArmorProfile?.type)) {
    found.push("appArmorProfile is not applied");
  }
  if ((spec.imagePullSecrets ?? []).length > 0) {
    found.push("imagePullSecrets are not used: images are pulled with the node's own credentials");
  }
  return found;
}

/** In a micro-VM only limits count: who asks with requests alone should know. */
export function ignoredRequests(spec: PodSpec): string | undefined {
  const parts = [...(spec.initContainers ?? []), ...spec.containers].flatMap(
    ({ name, resources }) => {
      const alone = ["cpu", "memory"].filter(
        (resource) =>
          resources?.requests?.[resource] !== undefined &&
          resources.limits?.[resource] === undefined,
      );
      const asked = alone.map((resource) => `${resource} ${resources?.requests?.[resource]}`);
      return asked.length === 0 ? [] : [`container ${name} requests ${asked.join(" and ")}`];
    },
  );
  if (parts.length === 0) return undefined;
  return `Requests do not size the micro-VM, only limits do: ${parts.join("; ")} without a limit`;
}

/** Microsoft's page on Pod Sandboxing allows it and advises against it. */
export function sharedHostPaths(spec: PodSpec): string | undefined {
  const names = (spec.volumes ?? []).filter(({ hostPath }) => hostPath).map(({ name }) => name);
  if (names.length === 0) return undefined;
  return `hostPath volumes reach through the micro-VM's boundary, which is discouraged: ${names.join(", ")}. Sockets in them do not work, and /proc, /sys and devices are the guest's own`;
}

function filters(type: string | undefined): boolean {
  return type !== undefined && type !== "Unconfined";
}

function list(names: readonly string[]): string {
  return names.length === 1 ? `container ${names[0]}` : `containers ${names.join(", ")}`;
}
