/**
 * What a pod in a VM cannot have is refused when it is created, with the reason; what has no effect
 * there is a warning. Source: the limitations of Microsoft's Pod Sandboxing page and of Kata.
 */
import type { PodSpec, RuntimeClass, Volume } from "../../../proto/kubernetes/gen/types.ts";
import { forbidden } from "../status-errors.ts";
import type { AdmissionStep } from "./admission-step.ts";
import { runtimeClassOf } from "./runtime-class.ts";

/** Annotation of a RuntimeClass: "true" when its handler puts pods into VMs. */
export const sandboxedAnnotation = "katasim.dev/sandboxed";

const hostNamespaces = [
  ["hostNetwork", "network stack"],
  ["hostPID", "process table"],
  ["hostIPC", "System V IPC"],
] as const;

const outsideVolumes = [
  ["persistentVolumeClaim", "persistent volume claims"],
  ["csi", "CSI volumes"],
  ["ephemeral", "generic ephemeral volumes (CSI)"],
] as const satisfies ReadonlyArray<readonly [keyof Volume, string]>;

export const limitSandboxedPod: AdmissionStep = (context, request) => {
  const runtimeClass = runtimeClassOf(context, request);
  if (runtimeClass === undefined || !isSandboxed(runtimeClass)) return;
  const spec = request.object.spec as PodSpec;
  const name = request.object.metadata.name ?? "";
  const className = runtimeClass.metadata?.name ?? "";
  const refuse = (what: string, why: string) =>
    forbidden(
      request.definition,
      name,
      `pod rejected: ${what} cannot be used with the sandboxed RuntimeClass "${className}": ${why}`,
    );

  for (const [field, thing] of hostNamespaces) {
    if (spec[field] === true) {
      throw refuse(`${field}`, `the pod's VM has a kernel and a ${thing} of its own`);
    }
  }
  for (const volume of spec.volumes ?? []) {
    for (const [field, words] of outsideVolumes) {
      if (volume[field] !== undefined) {
        throw refuse(
          `volume "${volume.name}"`,
          `${words} are not available inside the pod's VM; use emptyDir, configMap, secret or projected`,
        );
      }
    }
  }
  const ignored = ignoredRequests(spec);
  if (ignored.length > 0) {
    request.warn(`sandbox sizing ignores requests: ${ignored.join(", ")}; set limits instead`);
  }
};

/** Our own classes say so; of a user's class the handler's name does. */
export function isSandboxed(runtimeClass: RuntimeClass): boolean {
  const stated = runtimeClass.metadata?.annotations?.[sandboxedAnnotation];
  if (stated !== undefined) return stated === "true";
  return /^kata/.test(runtimeClass.handler);
}

/** Requests a user wrote that differ from the limits (defaulting copies limits into requests). */
function ignoredRequests(spec: PodSpec): string[] {
  const containers = [
    ...spec.containers.map((container, i) => ({ container, at: `spec.containers[${i}]` })),
    ...(spec.initContainers ?? []).map((container, i) => ({
      container,
      at: `spec.initContainers[${i}]`,
    })),
  ];
  return containers.flatMap(({ container, at }) =>
    Object.entries(container.resources?.requests ?? {})
      .filter(([name, amount]) => container.resources?.limits?.[name] !== amount)
      .map(([name, amount]) => `${at}.resources.requests.${name}=${amount}`),
  );
}
