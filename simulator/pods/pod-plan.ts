/**
 * What is to be done for a pod now, decided from what is: kubelet kuberuntime_manager.go
 * computePodActions. Pure; the pod worker carries it out.
 */
import type { PodSpec } from "../../proto/kubernetes/gen/types.ts";
import type { ContainerView } from "./pod-containers.ts";
import { isSidecarView, shouldStart } from "./restart-policy.ts";

export type PodPlan =
  /** The old sandbox, if any, goes; a new one comes. */
  | { readonly kind: "createSandbox" }
  | {
      readonly kind: "run";
      /** In this order, one after the other. */
      readonly start: readonly ContainerView[];
      /** Running, but not what the spec says any more; killed first. */
      readonly replace: readonly ContainerView[];
    }
  /** Nothing runs and nothing is to run: the sandbox goes, the pod is Succeeded or Failed. */
  | { readonly kind: "finish" };

export interface PodPlanInput {
  readonly spec: PodSpec;
  readonly sandboxReady: boolean;
  readonly containers: readonly ContainerView[];
}

export function planPod({ spec, sandboxReady, containers }: PodPlanInput): PodPlan {
  const of = (kind: ContainerView["kind"]) => containers.filter((view) => view.kind === kind);
  const apps = of("app");
  const inits = of("init");
  if (!sandboxReady) return planWithoutSandbox(spec, containers, apps);

  // An app container that was started proves that initialization is over, even for a spec that was
  // changed meanwhile.
  const initialized = apps.some(({ current }) => current !== undefined);
  const start: ContainerView[] = [];
  let pendingInit = false;
  for (const view of inits) {
    const running = view.current?.state === "running";
    if (isSidecarView(view)) {
      if (running) continue;
      start.push(view);
      if (initialized) continue;
      pendingInit = true;
      break;
    }
    if (initialized || hasSucceeded(view)) continue;
    if (!running) {
      if (!shouldStart(view, spec)) return { kind: "finish" };
      start.push(view);
    }
    pendingInit = true;
    break;
  }
  if (!pendingInit) start.push(...of("ephemeral").filter((view) => view.current === undefined));
  if (pendingInit) return { kind: "run", start, replace: [] };

  const running = apps.filter(({ current }) => current?.state === "running");
  const startApps = apps.filter(
    (view) => view.current?.state !== "running" && shouldStart(view, spec),
  );
  if (running.length === 0 && startApps.length === 0) return { kind: "finish" };
  return { kind: "run", start: [...start, ...startApps], replace: running.filter(imageChanged) };
}

function planWithoutSandbox(
  spec: PodSpec,
  containers: readonly ContainerView[],
  apps: readonly ContainerView[],
): PodPlan {
  const hasLived = containers.some(({ newestEnd }) => newestEnd !== undefined);
  if (!hasLived) return { kind: "createSandbox" };
  if (spec.restartPolicy === "Never") return { kind: "finish" };
  const somethingToRun = apps.some((view) => shouldStart({ ...view, current: undefined }, spec));
  return somethingToRun ? { kind: "createSandbox" } : { kind: "finish" };
}

function hasSucceeded({ current }: ContainerView): boolean {
  return current?.state === "exited" && current.exitCode === 0;
}

/** The only field of a container that may be changed in a running pod. */
function imageChanged({ current, spec }: ContainerView): boolean {
  return (
    spec.image !== undefined && current !== undefined && current.image.requested !== spec.image
  );
}
